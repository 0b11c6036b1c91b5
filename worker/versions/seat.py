"""What a worker knows of one alias, and what it does when the registry names a version for it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from threading import Event

from models.registry.client import PRODUCTION, FetchedVersion, VersionId


@dataclass(frozen=True)
class Refusal:
    """A version that an alias names and that must not serve, and why."""

    version: VersionId
    reason: str


@dataclass
class Coming:
    """A version on its way; `fetched` once its files are there, verified."""

    version: VersionId
    from_cache: bool
    fetched: bool = False
    abandoned: Event = field(default_factory=Event)


@dataclass
class Seat:
    """One alias: the version in force, the one on its way, and the one that was refused.

    `unfetched`: why the version could not be fetched the last time; nothing where it could.
    """

    alias: str
    in_force: FetchedVersion | None = None
    coming: Coming | None = None
    refused: Refusal | None = None
    unfetched: str = ""

    @property
    def is_still(self) -> bool:
        """True where nothing is on its way, or waits to be tried again."""
        return self.coming is None and not self.unfetched


class Then(Enum):
    """What is to be done for a seat."""

    NOTHING = auto()
    BEGIN = auto()  # fetch the version that the alias names
    EMPTY = auto()  # no version is in force from now on
    KEEP = auto()  # the alias is gone, and the version in force goes on serving


@dataclass(frozen=True)
class Step:
    """`abandon`: the version on its way is no longer wanted; `forget`: what was found out about another is void."""

    then: Then
    abandon: bool = False
    forget: bool = False


def next_step(seat: Seat, named: VersionId | None) -> Step:
    """What follows where the seat's alias names this version in the registry; None: it names none."""
    coming, refused = seat.coming, seat.refused
    if coming and coming.from_cache:
        return Step(Then.NOTHING)  # it is about to serve; what the registry says comes after it
    abandon = coming is not None and coming.version != named
    if named is None:
        kept = Then.KEEP if seat.alias == PRODUCTION else Then.EMPTY
        return Step(kept if seat.in_force else Then.NOTHING, abandon, forget=True)
    forget = refused is not None and refused.version != named
    is_there = seat.in_force is not None and seat.in_force.spec.version == named
    is_tried = (coming is not None and not abandon) or (refused is not None and not forget)
    return Step(Then.NOTHING if is_there or is_tried else Then.BEGIN, abandon, forget)
