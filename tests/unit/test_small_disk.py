"""A queue on a disk with little room: what fits is taken, what does not is refused, and room made is room used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.disks import Disk, mounted
from transport.event import Message
from transport.queue import QueueError
from transport.queues.sqlite.queue import LocalQueue

MEGABYTES = 2


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk", MEGABYTES) as disk:
        yield disk


def publish_until_full(queue: LocalQueue) -> int:
    """How many messages of a kilobyte the queue took before it refused ten in a row."""
    taken = refused = 0
    while refused < 10:
        try:
            taken += queue.publish([Message(bytes(1000), {"objectId": f"{taken}.csv"})])
            refused = 0
        except QueueError:
            refused += 1
    return taken


def ack_all(queue: LocalQueue) -> int:
    acked = 0
    while got := queue.pull(1, 0):
        got[0].ack()
        acked += 1
    return acked


def test_most_of_a_small_disk_is_for_messages(disk: Disk) -> None:
    queue = LocalQueue(str(disk.path / "queue.db"))

    assert publish_until_full(queue) * 1000 > MEGABYTES * 2**20 // 2
    queue.close()


def test_once_room_is_made_a_full_queue_goes_on_in_every_process_that_has_it_open(disk: Disk) -> None:
    # Given a queue that was opened while there was plenty of room, and a disk that others have filled since
    queue, other = (LocalQueue(str(disk.path / "queue.db")) for _ in range(2))
    queue.publish([Message(bytes(1000))])
    disk.fill(but=200_000)
    taken = 1 + publish_until_full(queue)
    with pytest.raises(QueueError, match="full"):
        other.publish([Message(bytes(100_000))])

    # When room is made
    disk.clear()

    # Then nothing that was taken is lost, and both go on
    assert ack_all(other) == taken
    assert queue.publish(Message(bytes(1000)) for _ in range(100)) == 100
    assert ack_all(other) == 100
    queue.close()
    other.close()
