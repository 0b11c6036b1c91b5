"""The machine at its limits: full and read-only disks, a clock set back, a flood, a bomb. As docs/operations.md says.

How fast, and in how much memory, is measured in tests/measure: FLOOD_FILES in measure_machine.py, HUGE_MB in
measure_memory.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.waiting import wait_for
from ledger.names import Key
from ledger.receipt import Status
from models.registry.client import Registry
from tests.chaos.disks import Disk, mounted
from tests.chaos.extremes import bomb, drop_flood
from tests.chaos.processes import bytes_read, send
from tests.chaos.understudy import MODEL, Running, big, surveys, undisturbed
from tests.emulators import missing
from tests.registry import copy_registry

FLOOD = 300  # files
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")  # Debian's package faketime
MORE_THAN_MEMORY = 300_000  # rows, whose shadow is kept on the disk until it is whole
HELD = "bucket does not take what is written"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """The bucket's own disk."""
    with mounted(tmp_path / "bucket", 8) as disk:
        yield disk


@pytest.fixture
def running_on_disk(disk: Disk, tmp_path: Path, tiny_registry: str, model_cache: Path) -> Iterator[Running]:
    with Running(tmp_path, copy_registry(tiny_registry, tmp_path), model_cache) as running:
        yield running


def test_on_a_full_disk_nothing_is_lost_and_no_attempt_is_counted(
    running_on_disk: Running, disk: Disk, model_cache: Path
) -> None:
    # Given a worker whose bucket has no room but for a few small files
    running, files = running_on_disk, surveys(6, 400)
    publisher, worker = running.publisher(), running.worker("--shadow-fraction", "0")
    running.ready(worker)
    for name, content in files.items():
        (running.root / f".{name}.tmp").write_bytes(content)
    disk.fill(but=16_384)

    # When files come, and its attempts at those that it holds have failed, again and again
    for name in files:
        os.replace(running.root / f".{name}.tmp", running.root / name)
    wait_for(lambda: len(worker.records(HELD)) >= 6, "a worker that holds its files")
    assert "no space is left on its disk; free some" in worker.records(HELD)[0]["error"]
    held = running.queue.backlog()
    assert (held.dead, running.count_receipts()) == (0, 0)
    assert held.leased
    assert held.leased <= 2

    # And then there is room
    disk.clear()
    running.wait_until_done(len(files))

    # Then all is as if nothing had happened
    receipts = running.receipts()
    assert {(receipt.status, receipt.attempt) for receipt in receipts} == {(Status.SCORED, 1)}
    assert {name: running.output(name) for name in files} == undisturbed(running.registry, model_cache, "1", files)
    assert not worker.records("attempt failed")
    assert [program.end() for program in (worker, publisher)] == [0, 0]
    assert running.left_behind() == []


def test_a_bucket_mounted_read_only_ends_who_starts_and_holds_who_runs(running_on_disk: Running, disk: Disk) -> None:
    # Given a worker that runs when its bucket becomes read-only
    running, name = running_on_disk, "part 000.csv"
    worker = running.worker("--shadow-fraction", "0")
    running.ready(worker)
    running.drop(name, surveys(6, 400)[name])
    message = running.event(name).to_message()
    disk.remount("ro")

    # When it is told of a file, and others start
    running.queue.publish([message])
    wait_for(lambda: len(worker.records(HELD)) >= 2, "a worker that holds its file")
    others = running.publisher(), running.worker()

    # Then those end at once, saying why, and it goes on as soon as it can
    for other in others:
        assert other.status() == 2
        assert "its file system is mounted read-only" in other.log.read_text()
    assert running.queue.backlog().dead == 0
    disk.remount("rw")
    running.wait_until_done(1)
    [receipt] = running.receipts()
    assert (receipt.status, receipt.attempt) == (Status.SCORED, 1)
    assert worker.end() == 0


def test_no_room_for_models_or_temporary_files_costs_a_swap_and_a_shadow_never_production(
    tmp_path: Path, tiny_registry: str
) -> None:
    # Given a worker whose model cache and TMPDIR share a small disk
    registry = copy_registry(tiny_registry, tmp_path)
    with mounted(tmp_path / "disk", 40) as disk, Running(tmp_path, registry, disk.path / "models") as running:
        (disk.path / "tmp").mkdir()
        running.environment["TMPDIR"] = str(disk.path / "tmp")
        publisher, worker = running.publisher(), running.worker()
        running.ready(worker)
        worker.wait_for_log("version in force", alias="staging", version="2")
        [cached] = (disk.path / "models").glob("*/2*")
        shutil.rmtree(cached)

        # When that is full, and a file comes whose shadow needs more than memory, and another version is wanted
        disk.fill()
        running.drop("big.csv", big(MORE_THAN_MEMORY))
        wait_for(lambda: running.receipts("big.csv"), "the receipt")
        Registry(registry, MODEL).client.set_registered_model_alias(MODEL, "production", "2")
        running.wait_until_done(1)

        # Then production scored it with the version that it had, the shadow says what was wrong
        [receipt] = running.receipts()
        assert receipt.status is Status.SCORED
        assert receipt.model is not None
        assert receipt.model.version == "1"
        comparison = json.loads((running.root / receipt.key.comparison).read_text())
        assert "No space left" in comparison["failed"]
        worker.wait_for_log("version not fetched", alias="production", version="2")

        # And once there is room the wanted version serves
        disk.clear()
        worker.wait_for_log("version in force", alias="production", version="2")
        assert [program.end() for program in (worker, publisher)] == [0, 0]


def test_a_clock_set_back_by_an_hour_delays_nothing(running: Running, model_cache: Path) -> None:
    # Given programs whose clock can be set, and a worker in the middle of a file
    if not FAKETIME.exists():
        missing("the clock cannot be set: Debian's package faketime is not installed")
    clock = running.folder / "clock"
    clock.write_text("+0")
    running.environment |= {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",  # the disk may be another machine's, whose clock is right
    }
    files = {"big.csv": big(), **surveys(3, 50)}
    publisher = running.start("publisher", "--interval", "200ms", "--settle", "1s")
    worker = running.worker("--shadow-fraction", "0")
    running.ready(worker)
    running.drop("big.csv", files["big.csv"])
    running.stop_in_mid_file(worker, "big.csv")

    # When the clock is set back, the worker is killed, and more files come
    clock.write_text("-1h")
    for pid in worker.family():
        send(pid, signal.SIGKILL)
    for name in surveys(3, 50):
        running.drop(name, files[name])
    other = running.worker("--shadow-fraction", "0")
    running.wait_until_done(len(files))

    # Then the lease of the dead, which lay an hour ahead, held nothing up, and no new file waited
    receipts = {receipt.source.name: receipt for receipt in running.receipts()}
    assert {receipt.status for receipt in receipts.values()} == {Status.SCORED}
    assert receipts["big.csv"].attempt == 2
    assert {receipts[name].attempt for name in surveys(3, 50)} == {1}
    assert {name: running.output(name) for name in files} == undisturbed(running.registry, model_cache, "1", files)
    set_back = time.time() - 1800
    assert all(time.strftime("%Y-%m-%dT%H:%M", time.gmtime(set_back)) > r.finished for r in receipts.values())

    # And nothing is done twice when it is right again
    clock.write_text("+0")
    status = running.start("publisher", "status", "--json")
    assert status.status() == 0, status.log.read_text()
    assert json.loads(status.log.read_text())["unanswered"] == 0
    assert [program.end() for program in (other, publisher)] == [0, 0]
    running.next_pass()
    assert running.backlog() == 0
    assert running.count_receipts() == len(files)
    assert running.left_behind() == []


def test_a_flood_of_small_files_is_scored_and_forgotten(running: Running) -> None:
    # Given very many files, all there at once
    names = drop_flood(running, FLOOD)

    # When a publisher and a worker start
    publisher = running.publisher("--interval", "10s")
    worker = running.worker("--shadow-fraction", "0", "--processes", "2", "--log-level", "warning")
    running.wait_until_done(FLOOD)

    # Then each has its receipt and its output, of its first attempt, and nothing is left of the way there
    assert [program.end() for program in (worker, publisher)] == [0, 0]
    receipts = running.receipts()
    assert [receipt.source.name for receipt in receipts] == sorted(names)
    assert {(receipt.status, receipt.attempt, receipt.rows) for receipt in receipts} == {(Status.SCORED, 1, 1)}
    assert {name for name in names if running.output(name) is None} == set()
    assert running.left_behind() == []


def test_a_gzip_bomb_is_rejected_after_bounded_work(running: Running) -> None:
    # Given a worker, and hundreds of megabytes in half a megabyte
    publisher, worker = running.publisher(), running.worker("--shadow-fraction", "0")
    running.ready(worker)
    running.drop("small.csv", surveys(3, 50)["part 000.csv"])
    running.wait_until_done(1)
    packed, size = bomb(6)
    assert size > 350_000_000
    assert len(packed) < 600_000
    before = sum(map(bytes_read, worker.scorers()))

    # When that comes
    running.drop("bomb.csv.gz", packed)
    running.wait_until_done(2)

    # Then it is rejected for what it unpacks to, by its beginning alone: the rest was neither unpacked nor read
    [receipt] = running.receipts("bomb.csv.gz")
    assert (receipt.status, receipt.attempt) == (Status.REJECTED, 1)
    assert "MAX_GZIP_RATIO" in receipt.errors[0].message
    [told] = re.findall(r"first ([\d,]+) bytes unpack to more than ([\d,]+) MB", receipt.errors[0].message)
    taken, unpacked = (int(number.replace(",", "")) for number in told)
    assert taken < len(packed) / 2
    assert unpacked < 100
    assert sum(map(bytes_read, worker.scorers())) - before < len(packed)
    assert running.output("bomb.csv.gz") is None
    assert Key("bomb.csv.gz", receipt.key.generation) == receipt.key
    assert [program.end() for program in (worker, publisher)] == [0, 0]
    assert running.left_behind() == []
