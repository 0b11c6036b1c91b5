"""Files through real notifications, each told twice, to two workers: what the test and the measurement share."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice
from typing import Any

from deploy.waiting import wait_for
from ledger.names import output_name
from ledger.receipt import Status
from tests.chaos.understudy import Program, surveys
from tests.cloud.house import House, Raw, Tap
from transport.bucket import put
from transport.event import Message


def handled(workers: list[Program]) -> int:
    return sum(
        1
        for worker in workers
        for record in worker.records()
        if record["message"] in ("receipt written", "receipt stood already")
    )


def told_twice(house: House, count: int, batch_size: int) -> Counter[str]:
    """Sees `count` files written once each, whose every notification comes twice; gives how many each worker wrote."""
    # Given: two workers on a provisioned topic, and two more subscriptions that hear what the bucket says
    # The emulator (0.8.20) knows no flow control: it sends all that waits to whoever listens, where it lies until it is
    # read. A lease that is shorter than that would run out unseen; Pub/Sub itself sends no more than a worker takes.
    house.provision("--lease", "600s")
    shuffle = random.Random(4).shuffle
    # Staging's outputs are not what is at issue here, and the machine is small.
    workers = house.workers(2, "--shadow-fraction", "0")
    files = list(surveys(count, 2).items())
    names = dict(files)
    shuffle(files)
    told_again: set[str] = set()

    with (
        Tap(house.names.topic, "twins", lambda name: name in names) as inputs,
        Tap(house.names.topic, "written", lambda name: name.startswith("output/pred_")) as outputs,
        Raw(house.names.topic) as raw,
    ):
        # When: files come, and each notification is published once more, as it is, some time later, in any order
        held: list[Any] = []
        twins: set[str] = set()

        def tell_again(share: float) -> None:
            held.extend(message for message in inputs.read() if message.message_id not in twins)
            shuffle(held)
            now, held[:] = held[: round(len(held) * share)], held[round(len(held) * share) :]
            twins.update(raw.publish([Message(message.data, dict(message.attributes)) for message in now]))
            told_again.update(message.attributes["objectId"] for message in now)

        coming = iter(files)
        while batch := dict(islice(coming, batch_size)):
            house.upload(batch)
            tell_again(0.5)
        wait_for(lambda: tell_again(1.0) or len(told_again) == count, "every file told twice", 300)
        assert len(twins) == count

        # Then: every file has its receipt, and every message was seen to
        wait_for(lambda: handled(workers) >= 2 * count, "both messages of every file handled", 600, every=1.0)
        receipts = house.receipts()
        assert [receipt.source.name for receipt in receipts] == sorted(name for name, _ in files)
        assert {receipt.status for receipt in receipts} == {Status.SCORED}

        # And: no output was written twice: the bucket told of one generation each, and that is the one there is
        last = put(house.bucket, "output/pred_last", b"")
        written: Counter[tuple[str, int]] = Counter()

        def hear() -> bool:
            for message in outputs.read():
                assert "overwroteGeneration" not in message.attributes
                written[message.attributes["objectId"], int(message.attributes["objectGeneration"])] += 1
            return written[last.name, last.generation] == 1 and len(written) > count

        wait_for(hear, "a notification of every output", 60)
    there = {(info.name, info.generation) for info in house.bucket.objects("output/pred_")}
    assert {name for name, _ in there} == {output_name(name) for name, _ in files} | {last.name}
    assert written == Counter(there)
    assert house.left_behind() == []

    # And: both workers had their part in it
    assert [worker.end() for worker in workers] == [0, 0]
    by_worker = Counter(receipt.worker for receipt in receipts)
    again = sum(len(worker.records("receipt stood already")) for worker in workers)
    print(f"\n{count} files, {2 * count} messages: {dict(by_worker)} receipts written, {again} stood already")
    assert len(by_worker) == 2
    return by_worker
