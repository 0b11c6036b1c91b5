"""Moving the aliases that workers follow, and the history of their moves, which MLflow does not keep.

Each move is written as a tag on the version that received the alias. MLflow cannot make a move depend on where the
alias stands: of two people who move it at once the last one wins, and the history shows both moves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from models.registry.advice import advice
from models.registry.challengers import CHALLENGERS, IN_WORDS
from models.registry.client import PRODUCTION, STAGING, Registry, VersionId

MOVE_TAG = "understudy.move."  # + time + "." + alias: a JSON object
OUTSIDE = "moved outside, e.g. in the MLflow UI"


class MoveRefused(Exception):
    """An alias was not moved; the text says why and what to do."""


@dataclass(frozen=True)
class Move:
    """One move of an alias, in UTC; None for "no version". A move made elsewhere has no `when` and no `who`."""

    alias: str
    came_from: VersionId | None
    to: VersionId | None
    when: datetime | None
    who: str
    why: str


def move(client: Any, model: str, alias: str, version: VersionId, *, who: str, why: str, when: datetime) -> Move:
    """Sets `alias` of `model` to `version` and records the move. `client`: an MlflowClient; `when` with a time zone.

    The alias is moved first: workers act on it, and a move without a record is still seen as one made outside.
    """
    came_from = client.get_registered_model(model).aliases.get(alias)
    made = Move(alias, None if came_from is None else str(came_from), version, when.astimezone(UTC), who, why)
    client.set_registered_model_alias(model, alias, version)
    key, value = tag_of(made)
    client.set_model_version_tag(model, version, key, value)
    return made


def tag_of(made: Move) -> tuple[str, str]:
    """The tag (key, value) that records a move."""
    if made.when is None:
        raise ValueError("a move without a time cannot be recorded")
    when = made.when.astimezone(UTC)
    value = {
        "alias": made.alias,
        "from": made.came_from,
        "to": made.to,
        "when": when.isoformat(timespec="microseconds"),
        "by": made.who,
        "why": made.why,
    }
    return f"{MOVE_TAG}{when:%Y%m%dT%H%M%S.%fZ}.{made.alias}", json.dumps(value, ensure_ascii=False)


def read_move(key: str, value: str) -> Move | None:
    """The move that a tag records; None for any other tag, and for one that was changed by hand."""
    if not key.startswith(MOVE_TAG):
        return None
    try:
        recorded = json.loads(value)
        when = datetime.fromisoformat(recorded["when"]).astimezone(UTC)
        came_from, to = (None if recorded[end] is None else str(recorded[end]) for end in ("from", "to"))
        return Move(str(recorded["alias"]), came_from, to, when, str(recorded["by"]), str(recorded["why"]))
    except (ValueError, KeyError, TypeError):
        return None


def complete(recorded: Iterable[Move], standing: Mapping[str, VersionId]) -> list[Move]:
    """The recorded moves in time order, with the moves between and after them that were not recorded.

    An alias was moved outside where a move found it at another version than the move before had left it, and where it
    stands now (`standing`: alias → version) at another version than the last move says. Such a move has no time; it is
    listed before the move that found it.
    """
    moves: list[Move] = []
    last: dict[str, VersionId | None] = {}
    for made in sorted(recorded, key=_order):
        moves += _outside(made.alias, last.get(made.alias), made.came_from)
        moves.append(made)
        last[made.alias] = made.to
    for alias in sorted({*last, *standing}):
        moves += _outside(alias, last.get(alias), standing.get(alias))
    return moves


def _order(made: Move) -> tuple[datetime, str]:
    return made.when or datetime.min.replace(tzinfo=UTC), made.alias  # the two moves of a swap have one time


def _outside(alias: str, left: VersionId | None, found: VersionId | None) -> list[Move]:
    return [] if left == found else [Move(alias, left, found, None, "", OUTSIDE)]


def before_last_move(moves: Iterable[Move], alias: str) -> VersionId | None:
    """Where `alias` stood before its last move, or None."""
    made = [move for move in moves if move.alias == alias]
    return made[-1].came_from if made else None


def named(text: str, standing: Mapping[str, VersionId]) -> VersionId:
    """The version that a person means by its number or an alias. Raises MoveRefused where no version has the alias."""
    if text in CHALLENGERS and text not in standing:
        there = ", ".join(f"{alias} (version {standing[alias]})" for alias in CHALLENGERS if alias in standing)
        todo = f"there is {there}" if there else "`python -m models stage VERSION` makes one staging"
        raise MoveRefused(f"no version is {text}; {todo}")
    return standing.get(text, text)


@dataclass(frozen=True)
class Aliases:
    """The aliases of one registered model, moved by `who` at `now`."""

    registry: Registry
    who: str

    def history(self) -> list[Move]:
        """Every move of every alias, oldest first. Raises RegistryUnreachable."""
        recorded = (
            read_move(key, value) for version in self.registry.versions() for key, value in version.tags.items()
        )
        return complete((made for made in recorded if made), self.registry.aliases())

    def point(self, alias: str, version: VersionId, why: str, now: datetime) -> Move:
        """Moves `alias` to `version`. Raises MoveRefused where there is no such version or it stands there already."""
        if self.registry.resolve(alias) == version:
            raise MoveRefused(f"version {version} is {alias} already; nothing was changed")
        known = [known.version for known in self.registry.versions()]
        if version not in known:
            there = f"there are {', '.join(known)}" if known else advice(self.registry)
            raise MoveRefused(f"{self.registry.model} has no version {version}; {there}")
        return self._move(alias, version, why, now)

    def stage(self, alias: str, version: VersionId, why: str, now: datetime) -> Move:
        """Makes a version the challenger of this alias. Raises MoveRefused as `point`, and for any other alias."""
        if alias not in CHALLENGERS:
            raise MoveRefused(f"{alias!r} is no challenger's alias; these are: {IN_WORDS}")
        return self.point(alias, version, why, now)

    def swap(self, why: str, now: datetime) -> tuple[Move, Move]:
        """Exchanges production and staging, production first: what was asked for stands after the first of two steps.

        A worker that looks between the two sees the new production in both roles, so that the worst is a file without
        a comparison. In the other order it would see the old one in both, and a crash there would lose the candidate.
        """
        standing = self.registry.aliases()
        production, staging = standing.get(PRODUCTION), standing.get(STAGING)
        if production is None or staging is None:
            role, command = (PRODUCTION, "promote") if production is None else (STAGING, "stage")
            raise MoveRefused(
                f"no version is {role}, so there is nothing to swap: `python -m models {command} VERSION`"
            )
        if production == staging:
            raise MoveRefused(f"version {production} is both production and staging; nothing was changed")
        return self._move(PRODUCTION, staging, why, now), self._move(STAGING, production, why, now)

    def rollback(self, why: str, now: datetime) -> Move:
        """Gives production back to the version that had it before its last move; a second time undoes the first."""
        target = before_last_move(self.history(), PRODUCTION)
        if target is None:
            raise MoveRefused(
                "production has not been moved from one version to another, so there is nothing to roll back to: "
                "name a version with `python -m models promote VERSION`"
            )
        return self.point(PRODUCTION, target, why, now)

    def _move(self, alias: str, to: VersionId, why: str, now: datetime) -> Move:
        client, model = self.registry.client, self.registry.model
        return move(client, model, alias, to, who=self.who, why=why, when=now)
