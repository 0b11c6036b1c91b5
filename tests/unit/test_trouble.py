"""Trouble that lasts is said once for each cause, and its end once."""

from __future__ import annotations

from structlog.testing import capture_logs

from edge.trouble import Trouble


def test_each_cause_is_said_once_until_it_is_over():
    trouble = Trouble("queue")

    with capture_logs() as logs:
        for _ in range(500):
            trouble.met("pull failed", OSError("the disk is full"), consequence="tried again")
            trouble.met("queue not told", OSError("the disk is full"))
        trouble.met("pull failed", OSError("locked"))
        trouble.over()
        trouble.over()
        trouble.met("pull failed", OSError("the disk is full"))

    assert [(log["event"], log.get("error"), log.get("failures")) for log in logs] == [
        ("pull failed", "the disk is full", None),
        ("pull failed", "locked", None),
        ("trouble over", None, 1001),
        ("pull failed", "the disk is full", None),
    ]


def test_what_goes_well_says_nothing():
    with capture_logs() as logs:
        Trouble("queue").over()

    assert logs == []
