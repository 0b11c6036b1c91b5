"""What follows for an alias from what the registry says of it: every state of its seat, and every answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.registry.client import PRODUCTION, STAGING, FetchedVersion
from tests.worker_fixtures import fetched
from worker.versions.seat import Coming, Refusal, Seat, Step, Then, next_step


@pytest.fixture
def one(tmp_path: Path) -> FetchedVersion:
    return fetched(tmp_path, "1")


def test_an_empty_seat_gets_what_its_alias_names() -> None:
    assert next_step(Seat(STAGING), "1") == Step(Then.BEGIN)
    assert next_step(Seat(STAGING), None) == Step(Then.NOTHING, forget=True)


def test_a_version_in_force_stays_until_the_alias_moves(one: FetchedVersion) -> None:
    assert next_step(Seat(PRODUCTION, in_force=one), "1") == Step(Then.NOTHING)
    assert next_step(Seat(PRODUCTION, in_force=one), "2") == Step(Then.BEGIN)


def test_without_its_alias_staging_ends_and_production_goes_on(one: FetchedVersion) -> None:
    assert next_step(Seat(STAGING, in_force=one), None).then is Then.EMPTY
    assert next_step(Seat(PRODUCTION, in_force=one), None).then is Then.KEEP


def test_what_is_coming_is_waited_for_and_abandoned_once_another_is_named(one: FetchedVersion) -> None:
    coming = Coming("2", from_cache=False)
    assert next_step(Seat(STAGING, one, coming), "2") == Step(Then.NOTHING)
    assert next_step(Seat(STAGING, one, coming), "3") == Step(Then.BEGIN, abandon=True)
    assert next_step(Seat(STAGING, one, coming), None) == Step(Then.EMPTY, abandon=True, forget=True)
    # Back to the one that serves: nothing is to be fetched
    assert next_step(Seat(STAGING, one, coming), "1") == Step(Then.NOTHING, abandon=True)


@pytest.mark.parametrize("named", ["1", "2", None])
def test_what_comes_from_the_cache_is_to_serve_first(named: str | None) -> None:
    assert next_step(Seat(PRODUCTION, coming=Coming("1", from_cache=True)), named) == Step(Then.NOTHING)


def test_a_refused_version_is_tried_again_only_after_the_alias_has_moved(one: FetchedVersion) -> None:
    seat = Seat(STAGING, one, refused=Refusal("2", "it crashes"))
    assert next_step(seat, "2") == Step(Then.NOTHING)
    assert next_step(seat, "1") == Step(Then.NOTHING, forget=True)
    assert next_step(seat, "3") == Step(Then.BEGIN, forget=True)


def test_one_that_could_not_be_fetched_is_tried_at_the_next_look() -> None:
    seat = Seat(STAGING, unfetched="the disk is full")
    assert not seat.is_still
    assert next_step(seat, "1") == Step(Then.BEGIN)
