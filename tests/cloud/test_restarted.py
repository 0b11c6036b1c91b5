"""The Pub/Sub emulator is killed and comes back without its topics while files arrive: nothing is lost."""

from __future__ import annotations

import signal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from google.cloud.pubsub_v1 import PublisherClient

from deploy.emulators import PubSubEmulator
from deploy.waiting import wait_for
from ledger.names import output_name
from ledger.receipt import Status
from tests.chaos.understudy import send, surveys, undisturbed
from tests.cloud.house import House

pytestmark = [pytest.mark.emulator, pytest.mark.slow, pytest.mark.timeout(600)]


FIRST, PUBLISHED, AWAY, BACK, LAST = 10, 20, 10, 10, 10  # files, one lot after the other


@pytest.fixture
def pubsub_emulator(mortal_emulator: PubSubEmulator) -> str:
    """The one that this house uses: nobody else's, for it is killed."""
    return mortal_emulator.host


def lacks_subscription(record: dict[str, Any]) -> bool:
    return record.get("step") == "publish what has no receipt" and "-workers does not exist" in record.get("error", "")


def test_after_provision_every_file_has_its_receipt_and_no_program_was_restarted(
    house: House, mortal_emulator: PubSubEmulator, model_cache: Path
) -> None:
    # Given: two workers, and the publisher that looks for what notifications lost
    house.provision()
    workers = house.workers(2)
    publisher = house.start("publisher", "--interval", "1s")
    publisher.wait_for_log("publisher started")
    files = surveys(FIRST + PUBLISHED + AWAY + BACK + LAST, 40)
    coming = iter(files.items())
    house.upload(dict(islice(coming, FIRST)))
    wait_for(lambda: house.count_receipts() >= 5, "the first receipts")
    # And: files that are published, while the workers stand in the middle of others
    scorers = [pid for worker in workers for pid in worker.scorers()]
    for pid in scorers:
        send(pid, signal.SIGSTOP)
    house.upload(dict(islice(coming, PUBLISHED)))
    last = list(files)[FIRST + PUBLISHED - 1]
    wait_for(lambda: publisher.records("published", file=last), "all of them published")

    # When: the service and all it knew is gone, and then comes back with nothing, and later with a topic alone
    mortal_emulator.kill()
    for pid in scorers:
        send(pid, signal.SIGCONT)
    scored = house.count_receipts()
    house.upload(dict(islice(coming, AWAY)))
    mortal_emulator.start()
    house.upload(dict(islice(coming, BACK)))
    # A person sees this, and provisions.
    seen = wait_for(lambda: [r for r in publisher.records() if "does not exist" in r.get("error", "")], "a warning")
    assert "python -m publisher provision" in seen[0]["error"]
    for worker in workers:  # each has lost its stream
        assert "python -m publisher provision" in worker.wait_for_log("pull stream ended")["error"]
    # `provision` makes the topic before its subscription; what is published between the two reaches nobody.
    published, passes = len(publisher.records("published")), sum(map(lacks_subscription, publisher.records()))
    topics = PublisherClient()
    topics.create_topic(name=house.names.topic)
    topics.transport.close()
    # Of three passes that end from now on, at least two began with the topic there.
    wait_for(lambda: sum(map(lacks_subscription, publisher.records())) >= passes + 3, "passes between the two")
    assert len(publisher.records("published")) == published
    before = {r.source.name for r in house.receipts()}
    house.provision()
    house.upload(dict(coming))

    # Then: every file has its receipt and its output, from the same processes
    wait_for(lambda: house.count_receipts() == len(files), f"{len(files)} receipts", 200, every=0.2)
    assert [(r.source.name, r.status) for r in house.receipts()] == [(name, Status.SCORED) for name in files]
    assert {name: house.read(output_name(name)) for name in files} == undisturbed(
        house.registry, model_cache, "1", files
    )
    assert [program.process.poll() for program in (*workers, publisher)] == [None, None, None]
    print(
        f"\nof {FIRST + PUBLISHED} published files {scored} were scored before the break; {len(before)} receipts before"
        f" provision, {len(files)} later"
    )
    # What the workers held when it broke they may have scored; what came later can have reached nobody.
    assert before <= set(list(files)[: FIRST + PUBLISHED]), "the break had no effect"
    wait_for(lambda: house.left_behind() == [], "claims removed")
    assert [program.end() for program in (*workers, publisher)] == [0, 0, 0]
