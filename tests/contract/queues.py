"""A fresh, empty queue of every adapter, for the contract suite and whoever else wants to run over both."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import pytest

from deploy.waiting import wait_for
from publisher.provision import carry_out
from publisher.provision_plan import plan, wanted
from publisher.provision_pubsub import PubSubAdmin
from transport.local_queue import LocalQueue
from transport.open import open_dead_letters, open_queue
from transport.pubsub_names import Names
from transport.queue import Delivery, Policy, Queue

LOCAL = Policy(lease=10.0, max_delivery_attempts=5, min_backoff=0.01, max_backoff=0.05)
# Pub/Sub's shortest lease; its emulator rounds back-offs up to about two seconds.
PUBSUB = Policy(lease=10.0, max_delivery_attempts=5, min_backoff=0.1, max_backoff=0.2)
POLICIES = {"local": LOCAL, "local, soon over": replace(LOCAL, lease=0.5), "pubsub": PUBSUB}

EVERYWHERE = pytest.mark.parametrize(
    "queues", ["local", pytest.param("pubsub", marks=pytest.mark.emulator)], indirect=True
)
# Longer than `Queues.patience`, so that a test says itself what did not come.
_PUBSUB_SLOW = pytest.param("pubsub", marks=[pytest.mark.emulator, pytest.mark.slow, pytest.mark.timeout(300)])
# For what takes leases that run out, or many attempts: with Pub/Sub's times that is long.
EVERYWHERE_IN_ITS_TIME = pytest.mark.parametrize(
    "queues", [pytest.param("local, soon over", id="local"), _PUBSUB_SLOW], indirect=True
)
# For leases that must not run out: a machine that stands still for a moment must not end them.
EVERYWHERE_FOR_LONG = pytest.mark.parametrize(
    "queues", [pytest.param("local", marks=[pytest.mark.slow, pytest.mark.timeout(300)]), _PUBSUB_SLOW], indirect=True
)

_numbers = count()


@dataclass
class Queues:
    """One queue somewhere, opened as often as a test likes; all that it opens is closed with it."""

    url: str
    policy: Policy
    opened: list[Queue] = field(default_factory=list)

    @property
    def patience(self) -> float:
        """Seconds after which what has not come will not come: every attempt with its lease, and a slow machine."""
        return 20.0 + 2 * self.policy.max_delivery_attempts * self.policy.lease

    def open(self) -> Queue:
        return self._keep(open_queue(self.url))

    def dead_letters(self) -> Queue:
        return self._keep(open_dead_letters(self.url))

    def _keep(self, queue: Queue) -> Queue:
        self.opened.append(queue)
        return queue

    def pull(self, queue: Queue, wanted: int) -> list[Delivery]:
        """Exactly `wanted` deliveries, however many pulls that takes; a shorter list when patience is at its end."""
        give_up = time.monotonic() + self.patience
        found: list[Delivery] = []
        while len(found) < wanted and time.monotonic() < give_up:
            found += queue.pull(wanted - len(found), wait=0.5)
        return found

    def until(self, condition: Callable[[], bool]) -> None:
        """Waits for a condition as long as patience goes."""
        wait_for(condition, seconds=self.patience)


@pytest.fixture
def queues(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queues]:
    """A fresh queue of the adapter that the test's mark names."""
    if request.param.startswith("local"):
        made = Queues(str(tmp_path / "queue.db"), POLICIES[request.param])
        LocalQueue(made.url, policy=made.policy).close()
    else:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", request.getfixturevalue("pubsub_emulator"))
        made = Queues(f"pubsub://test/flights-{os.getpid()}-{next(_numbers)}", POLICIES[request.param])
        ensure_topology(Names.parse(made.url), made.policy)
    yield made
    for queue in made.opened:
        queue.close()


@pytest.fixture
def queue(queues: Queues) -> Queue:
    """That queue, opened."""
    return queues.open()


def ensure_topology(names: Names, policy: Policy) -> None:
    """Topics and subscriptions as the publisher provisions them, on the emulator that the environment names."""
    with closing(PubSubAdmin(names)) as admin:
        for step in plan(wanted(names, policy, None, "", {}), admin.find()):
            carry_out(step, admin, None)
