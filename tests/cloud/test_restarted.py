"""The Pub/Sub emulator is killed and comes back without its topics while files arrive: nothing is lost."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from deploy.waiting import wait_for
from ledger.names import output_name
from ledger.receipt import Status
from tests.chaos.understudy import surveys, undisturbed
from tests.cloud.house import House

pytestmark = [pytest.mark.emulator, pytest.mark.slow, pytest.mark.timeout(300)]


def test_after_provision_every_file_has_its_receipt_and_no_program_was_restarted(
    house: House, model_cache: Path
) -> None:
    # Given: two workers, and the publisher that looks for what notifications lost; all files so far are published
    house.provision()
    workers = house.workers(2)
    publisher = house.start("publisher", "--interval", "1s")
    publisher.wait_for_log("publisher started")
    files = surveys(150, 40)
    coming = iter(files.items())
    house.upload(dict(islice(coming, 30)))
    wait_for(lambda: house.count_receipts() >= 5, "the first receipts")
    house.upload(dict(islice(coming, 50)))
    last = list(files)[79]
    wait_for(lambda: publisher.records("published", file=last), "all of them published", every=0.01)

    # When: the service and all it knew is gone in the middle of the files, and then comes back with nothing
    house.pubsub.kill()
    scored = house.count_receipts()
    house.upload(dict(islice(coming, 30)))
    house.pubsub.start()
    house.upload(dict(islice(coming, 20)))
    # A person sees this, and provisions.
    seen = wait_for(lambda: [r for r in publisher.records() if "does not exist" in r.get("error", "")], "a warning")
    assert "python -m publisher provision" in seen[0]["error"]
    before = house.count_receipts()
    house.provision()
    house.upload(dict(coming))

    # Then: every file has its receipt and its output, from the same processes
    wait_for(lambda: house.count_receipts() == len(files), f"{len(files)} receipts", 200, every=0.5)
    assert [(r.source.name, r.status) for r in house.receipts()] == [(name, Status.SCORED) for name in files]
    assert {name: house.read(output_name(name)) for name in files} == undisturbed(
        house.registry, model_cache, "1", files
    )
    assert [program.process.poll() for program in (*workers, publisher)] == [None, None, None]
    print(
        f"\nof 80 published files {scored} were scored before the break; {before} receipts before provision, 150 later"
    )
    assert before < 80, "the break had no effect: there was nothing left to do"
    wait_for(lambda: house.left_behind() == [], "claims removed")
    assert [program.end() for program in (*workers, publisher)] == [0, 0, 0]
