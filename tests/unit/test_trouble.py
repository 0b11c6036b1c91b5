"""Trouble that lasts is said once for each cause, and its end once."""

from __future__ import annotations

from structlog.testing import capture_logs

from edge.trouble import MOST_CAUSES, Trouble

FULL, LOCKED = OSError("the disk is full"), OSError("locked")


def test_each_cause_is_new_once_until_it_is_over():
    trouble = Trouble("queue")

    assert [trouble.is_new(error) for error in (FULL, FULL, LOCKED, FULL, LOCKED)] == [True, False, True, False, False]

    with capture_logs() as logs:
        trouble.over()
        trouble.over()
    assert [(log["event"], log["what"], log["failures"]) for log in logs] == [("trouble over", "queue", 5)]
    assert trouble.is_new(FULL)


def test_what_goes_well_says_nothing():
    with capture_logs() as logs:
        Trouble("queue").over()

    assert logs == []


def test_causes_that_are_never_the_same_are_all_said_and_not_all_kept():
    trouble = Trouble("queue")

    assert all(trouble.is_new(OSError(f"request {number}")) for number in range(10 * MOST_CAUSES))

    assert len(trouble._causes) <= MOST_CAUSES
