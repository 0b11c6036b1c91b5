"""How a worker is, looked up from its parts."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field

import pytest

from edge import metrics
from tests.worker_fixtures import fetched
from transport.queue import Backlog, Policy, QueueError
from worker.leases import Leases
from worker.versions.swap import InForce
from worker.vitals import Vitals


@dataclass
class Queue:
    """A queue that says of itself what a test says."""

    said: Backlog | QueueError
    trouble_said: str = ""
    policy: Policy = field(default_factory=Policy)

    def backlog(self):
        if isinstance(self.said, QueueError):
            raise self.said
        return self.said

    def trouble(self):
        return self.trouble_said


@dataclass
class Follower:
    in_force: InForce = field(default_factory=InForce)
    missing: str = ""


@dataclass
class Loop:
    looked: float = field(default_factory=lambda: time.monotonic() + 60)  # it looks for work all the while


class Line:
    def standing(self):
        return {"staging": (2, 12.0), "staging-2": (1, 5.0)}


class Held:
    """A delivery whose lease is kept while a test runs."""

    id = "1"

    def extend(self):
        return

    nack = extend


@pytest.fixture
def vitals():
    """Makes vitals of workers, and ends these."""
    made = []

    def make(queue, *, stalled=300.0, follower=None, loop=None):
        leases = Leases(queue)
        made.append(leases)
        stopping = threading.Event()
        return Vitals(queue, leases, Line(), follower or Follower(), stopping, stalled, 600.0, loop or Loop())

    yield make
    for leases in made:
        leases.give_all_back()


LONG_QUEUE = Queue(Backlog(5, 0, 0, oldest_waiting_seconds=1_000.0))
PUBSUB = Queue(Backlog(None, None, None))


def reported(metric):
    return metric.collect()[0].samples[0].value


def by_alias(metric):
    return {sample.labels["alias"]: sample.value for sample in metric.collect()[0].samples}


def test_while_messages_wait_and_none_is_done_it_is_ill(vitals):
    assert vitals(LONG_QUEUE).health() == {"progress": ""}  # it has just begun

    assert "messages have waited for 1000 s" in vitals(LONG_QUEUE, stalled=0.0).health()["progress"]


def test_what_is_in_hand_is_progress_however_long_others_wait(vitals):
    worker = vitals(LONG_QUEUE, stalled=0.0)
    worker.leases.take(Held())

    assert worker.health() == {"progress": ""}


def test_a_loop_that_turns_no_more_is_noticed(vitals):
    stuck = vitals(Queue(Backlog(0, 0, 0)), stalled=5.0, loop=Loop(time.monotonic() - 6))

    assert "has not looked for work" in stuck.health()["progress"]


def test_a_queue_that_cannot_tell_is_asked_how_it_is(vitals):
    assert vitals(PUBSUB, stalled=0.0).health() == {"progress": ""}

    cut_off = Queue(PUBSUB.said, trouble_said="503 no route to host")
    assert "503 no route to host" in vitals(cut_off, stalled=0.0).health()["progress"]
    assert vitals(cut_off, stalled=300.0).health() == {"progress": ""}  # not asked before it has been idle for long


def test_a_worker_that_ends_or_has_no_model_yet_is_not_to_be_restarted(vitals):
    ending = vitals(LONG_QUEUE, stalled=0.0)
    ending.stopping.set()
    waiting = vitals(LONG_QUEUE, stalled=0.0, follower=Follower(missing="no production version is in force: none"))
    waiting.loop = None

    assert ending.health() == waiting.health() == {"progress": ""}
    assert ending.readiness()["loop"] == "the worker ends"
    assert waiting.readiness()["models"] == "no production version is in force: none"


@pytest.mark.parametrize(
    ("queue", "oldest"),
    [
        (LONG_QUEUE, 1_000.0),
        (Queue(Backlog(0, 2, 0)), 0.0),
        (PUBSUB, math.nan),
        (Queue(QueueError("it is locked")), math.nan),
    ],
)
def test_the_age_of_the_backlog_where_the_queue_can_tell_it(vitals, queue, oldest):
    vitals(queue).refresh()

    assert reported(metrics.BACKLOG_OLDEST) == pytest.approx(oldest, nan_ok=True)


def test_figures_that_are_looked_up(vitals, tmp_path):
    worker = vitals(LONG_QUEUE, follower=Follower(InForce(fetched(tmp_path))))
    worker.leases.take(Held())

    worker.refresh()

    assert reported(metrics.IN_HAND) == 1
    assert by_alias(metrics.SHADOW_BACKLOG) == {"staging": 2, "staging-2": 1}
    assert by_alias(metrics.SHADOW_OLDEST) == {"staging": 12.0, "staging-2": 5.0}
    assert metrics.MODEL_AGE.collect()[0].samples == []  # nobody knows when this one was made
