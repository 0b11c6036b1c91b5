"""A fresh, empty queue of every adapter, for the contract suite and whoever else wants to run over both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from deploy.waiting import wait_for
from publisher.commands.provision import carry_out
from publisher.provision.plan import plan, wanted
from publisher.provision.pubsub import PubSubAdmin
from transport.event import Message
from transport.open import open_dead_letters, open_queue
from transport.queue import Delivery, Policy, Queue
from transport.queues.pubsub.names import Names
from transport.queues.sqlite.queue import LocalQueue

LOCAL = Policy(lease=10.0, max_delivery_attempts=5, min_backoff=0.01, max_backoff=0.05)
# Pub/Sub's shortest lease; its emulator rounds back-offs up to about two seconds.
PUBSUB = Policy(lease=10.0, max_delivery_attempts=5, min_backoff=0.1, max_backoff=0.2)
LONGEST_LEASE = 600.0  # that Pub/Sub has: it does not run out while a test runs, whatever the machine does meanwhile
POLICIES = {
    "local": LOCAL,
    "local, soon over": replace(LOCAL, lease=0.5),
    "local, for long": replace(LOCAL, lease=LONGEST_LEASE),
    "pubsub": PUBSUB,
    "pubsub, for long": replace(PUBSUB, lease=LONGEST_LEASE),
}

EVERYWHERE = pytest.mark.parametrize(
    "queues", ["local", pytest.param("pubsub", marks=pytest.mark.emulator)], indirect=True
)
# What the subscription's filter lets through: an event as far as that looks.
EVENT = {"eventType": "OBJECT_FINALIZE", "bucketId": "airline"}
MARKER = Message(b"comes last", {**EVENT, "objectId": "marker.csv"})

# Longer than `Queues.patience`, so that a test says itself what did not come.
_PUBSUB_SLOW = pytest.param("pubsub", marks=[pytest.mark.emulator, pytest.mark.slow, pytest.mark.timeout(300)])
# For what takes leases that run out, or many attempts: with Pub/Sub's times that is long.
EVERYWHERE_IN_ITS_TIME = pytest.mark.parametrize(
    "queues", [pytest.param("local, soon over", id="local"), _PUBSUB_SLOW], indirect=True
)
# For leases that are extended: a machine that stands still for a moment must not end them.
EVERYWHERE_FOR_A_WHILE = pytest.mark.parametrize(
    "queues", [pytest.param("local", marks=[pytest.mark.slow, pytest.mark.timeout(300)]), _PUBSUB_SLOW], indirect=True
)
# For leases that must not run out at all.
EVERYWHERE_FOR_LONG = pytest.mark.parametrize(
    "queues",
    [
        pytest.param("local, for long", id="local"),
        pytest.param("pubsub, for long", id="pubsub", marks=[pytest.mark.emulator, pytest.mark.timeout(300)]),
    ],
    indirect=True,
)


@dataclass
class Queues:
    """One queue somewhere, opened as often as a test likes; all that it opens is closed with it."""

    url: str
    policy: Policy
    opened: list[Queue] = field(default_factory=list)

    @property
    def patience(self) -> float:
        """Seconds after which what has not come will not come: every attempt with its lease, and a slow machine.

        A lease that is not to run out is not waited for.
        """
        return min(120.0, 20.0 + 2 * self.policy.max_delivery_attempts * self.policy.lease)

    def open(self) -> Queue:
        return self._keep(open_queue(self.url))

    def dead_letters(self) -> Queue:
        return self._keep(open_dead_letters(self.url))

    def _keep(self, queue: Queue) -> Queue:
        self.opened.append(queue)
        return queue

    def pull(self, queue: Queue, wanted: int) -> list[Delivery]:
        """Exactly `wanted` deliveries, however many pulls that takes. Raises NotInTime when patience is at its end."""
        found: list[Delivery] = []

        def are_here() -> bool:
            if len(found) < wanted:
                found.extend(queue.pull(wanted - len(found), wait=0.5))
            return len(found) >= wanted

        self.until(are_here, lambda: f"{wanted} deliveries, but {len(found)}")
        return found

    def nothing_comes(self, *consumers: Queue, after: Literal["publishing", "backoff", "lease"] = "publishing") -> bool:
        """True where nothing but a message that is published now comes to any of the consumers of one queue.

        They must be all that are open: whatever waits in the queue may come to any of them. `after`: what that message
        has behind it when it has come; so has anything that was published, nacked or left alone before it.
        """
        consumers[0].publish([MARKER])
        found: list[Delivery] = []

        def markers() -> list[Delivery]:
            return [delivery for delivery in found if delivery.message.data == MARKER.data]

        def is_here(attempt: int) -> bool:
            for consumer in consumers:
                found.extend(consumer.pull(10, wait=0.05))
            return any(delivery.attempt >= attempt for delivery in markers())

        self.until(partial(is_here, 1), "what was published last")
        if after != "publishing":
            if after == "backoff":
                found[-1].nack()
            self.until(partial(is_here, 2), "what was published last, once more")
        found[-1].ack()
        return markers() == found

    def until(self, condition: Callable[[], bool], what: str | Callable[[], str] = "") -> None:
        """Waits for a condition as long as patience goes."""
        wait_for(condition, what, seconds=self.patience)


@pytest.fixture
def queues(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queues]:
    """A fresh queue of the adapter that the test's mark names."""
    if request.param.startswith("local"):
        made = Queues(str(tmp_path / "queue.db"), POLICIES[request.param])
        LocalQueue(made.url, policy=made.policy).close()
    else:
        project: str = request.getfixturevalue("pubsub_project")
        made = Queues(f"pubsub://{project}/flights", POLICIES[request.param])
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
