"""When a program counts as stalled."""

from __future__ import annotations

import pytest

from edge.health import Liveness, overdue, what_stalls

STALLED, ONE_FILE = 300.0, 600.0
HOURS = 9_000.0


@pytest.mark.parametrize(
    ("standing", "why_it_is_well"),
    [
        (Liveness(), "it has just begun"),
        (Liveness(since_look=0.4, since_done=HOURS), "nothing waits"),
        (Liveness(since_look=0.4, since_done=HOURS, oldest_waiting=12.0), "a file came after a quiet night"),
        (Liveness(since_look=0.4, since_done=12.0, oldest_waiting=HOURS), "there is a backlog, and it is worked on"),
        (Liveness(since_look=0.4, since_done=700.0, youngest_in_hand=700.0), "a long file may take so long"),
        (Liveness(since_look=0.4, since_done=20.0, youngest_in_hand=HOURS), "old messages in hand, others done"),
        (Liveness(0.4, since_done=HOURS, youngest_in_hand=1.0, oldest_waiting=HOURS), "one was taken just now"),
        (Liveness(since_done=HOURS), "it does not look for work yet: there is no model"),
        (Liveness(since_look=0.4, since_done=200.0, queue_trouble="it does not answer"), "not for long"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_is_well_while(standing: Liveness, why_it_is_well: str) -> None:
    assert what_stalls(standing, STALLED, ONE_FILE) == ""


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (Liveness(since_look=301.0), "has not looked for work for 301 s"),
        (Liveness(since_look=0.4, since_done=901.0, youngest_in_hand=901.0), "nothing was done for 901 s"),
        (Liveness(since_look=0.4, since_done=400.0, oldest_waiting=350.0), "messages have waited for 350 s"),
        (Liveness(since_look=0.4, since_done=301.0, queue_trouble="no such subscription"), "no such subscription"),
    ],
)
def test_it_is_stalled_where(standing: Liveness, said: str) -> None:
    assert said in what_stalls(standing, STALLED, ONE_FILE)


def test_what_is_done_at_an_interval_may_rest_for_that_long():
    assert overdue(899.0, 600.0, 300.0, "the publisher") == ""
    assert overdue(901.0, 600.0, 300.0, "the publisher") == "the publisher has made no progress for 901 s"
