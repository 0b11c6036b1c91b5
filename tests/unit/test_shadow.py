"""The shadow: what it compares, and that production does not change whatever it does."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from structlog.testing import capture_logs

from deploy.waiting import wait_for
from ledger.commit import SOURCE_GENERATION
from ledger.names import COMPARISONS, OUTPUT, RECEIPTS, Key
from models.evidence.record.comparison import Comparison, Incomparable
from models.registry.client import STAGING
from models.scoring.table.limits import Limits
from tests.memory import MemoryBucket, MemoryQueue
from tests.worker_fixtures import (
    SPEC,
    THREE,
    Call,
    Here,
    Hostile,
    Lent,
    Worker,
    contents,
    dropped,
    fetched,
    receipt_of,
    survey,
    table,
    without_times,
)
from transport.bucket import BucketError, get, put
from transport.buckets.folder.bucket import FolderBucket
from transport.event import Generation, ObjectEvent
from transport.queue import Policy
from transport.queues.sqlite.queue import LocalQueue
from worker.processes.pool import Pool
from worker.processes.scoring_process import Workshop
from worker.shadow import NothingToCompare, Shadow, event_time, failed_record, in_shadow
from worker.shadow_line import ShadowLine
from worker.versions.swap import InForce

PATIENCE = 300.0  # longer than a test may take


@pytest.fixture
def bucket():
    return MemoryBucket()


def scored(bucket, tmp_path, data, *, version=None, name="a.csv"):
    """A file that production has scored, with its receipt: the event and the receipt."""
    version = version or fetched(tmp_path, "1")
    event = dropped(bucket, name, data)
    worker = Worker(bucket, MemoryQueue(), Here(bucket), Here(bucket), InForce(version))
    worker.queue.publish([event.to_message()])
    worker.handle()
    worker.leases.give_all_back()
    return event, receipt_of(bucket, Key(name, event.generation))


def shadow_of(event, receipt, staging, production=SPEC):
    return Shadow(event, receipt, production, staging)


def record_of(bucket, event):
    return json.loads(get(bucket, Key(event.name, event.generation).comparison))


class TestComparing:
    def test_the_shadow_s_output_is_what_staging_would_have_written_as_production(self, bucket, tmp_path):
        data = table([*survey(300).decode().splitlines()[1:], "x,red", "y,red,1_0,3,no"])
        event, receipt = scored(bucket, tmp_path, data)
        staging = fetched(tmp_path, "2", bias=2.0)

        shadow_of(event, receipt, staging).run(Workshop(bucket))

        # Given the same file scored with the staging version in production
        other = MemoryBucket()
        scored(other, tmp_path, data, version=staging)
        assert get(bucket, "output/shadow/pred_a.csv") == get(other, "output/pred_a.csv")
        assert bucket.stat("output/shadow/pred_a.csv").metadata == {SOURCE_GENERATION: "1", "model-version": "2"}

    def test_the_record_counts_what_the_two_outputs_say(self, bucket, tmp_path):
        # Given rows without an answer from either among them
        data = table([*survey(300).decode().splitlines()[1:], "x,red", "y,red,1_0,3,no"])
        event, receipt = scored(bucket, tmp_path, data)

        shadow_of(event, receipt, fetched(tmp_path, "2", bias=2.0)).run(Workshop(bucket))

        record = Comparison.from_json(record_of(bucket, event))
        assert (record.pair.production.version, record.pair.staging.version) == ("1", "2")
        assert (record.file.name, record.file.generation) == ("a.csv", "1")
        assert record.file.event_time == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        counts = record_of(bucket, event)["rows"]
        assert (counts["read"], counts["failed_both"]) == (302, 2)
        lines = [
            [line.split(b",") for line in get(bucket, name).splitlines()[1:-2]]
            for name in ("output/pred_a.csv", "output/shadow/pred_a.csv")
        ]
        differ = sum(one[2] != other[2] for one, other in zip(*lines, strict=True))
        assert differ > 0
        assert int(record.agreement.sum()) == 300
        assert int(np.trace(record.agreement)) == 300 - differ

    def test_with_three_classes_and_odd_names_too(self, bucket, tmp_path):
        production = fetched(tmp_path, "1", spec=THREE)
        event, receipt = scored(bucket, tmp_path, survey(50), version=production)

        shadow_of(event, receipt, fetched(tmp_path, "2", bias=2.0, spec=THREE), THREE).run(Workshop(bucket))

        assert record_of(bucket, event)["rows"]["read"] == 50

    def test_a_file_without_rows_is_compared_too(self, bucket, tmp_path):
        event, receipt = scored(bucket, tmp_path, survey(0))

        shadow_of(event, receipt, fetched(tmp_path, "2")).run(Workshop(bucket))

        assert record_of(bucket, event)["rows"]["read"] == 0

    def test_the_record_is_the_same_in_small_blocks(self, bucket, tmp_path):
        event, receipt = scored(bucket, tmp_path, survey(2_000))
        staging = fetched(tmp_path, "2", bias=2.0)
        shadow_of(event, receipt, staging).run(Workshop(bucket))
        first = record_of(bucket, event)

        bucket.delete(Key(event.name, event.generation).comparison)
        small = Limits(block_bytes=2_000)
        replace(shadow_of(event, receipt, staging), limits=small).run(Workshop(bucket))

        def counts(record):
            sums = {name: value for name, value in record["sums"].items() if "seconds" not in name}
            return {**record, "sums": sums}

        assert counts(record_of(bucket, event)) == counts(first)

    def test_a_record_that_stands_is_left_as_it_is(self, bucket, tmp_path):
        event, receipt = scored(bucket, tmp_path, survey(5))
        key = Key(event.name, event.generation)
        put(bucket, key.comparison, b"{}")

        shadow_of(event, receipt, fetched(tmp_path, "2")).run(Workshop(bucket))

        assert get(bucket, key.comparison) == b"{}"


class TestNothingToCompare:
    def test_classes_that_differ_are_told_with_what_to_do(self, bucket, tmp_path):
        event, receipt = scored(bucket, tmp_path, survey(5))
        staging = fetched(tmp_path, "2", spec=replace(SPEC, classes=("no", "maybe")))

        with pytest.raises(Incomparable, match=r"their classes differ.*register a staging version"):
            shadow_of(event, receipt, staging).run(Workshop(bucket))
        assert bucket.stat("output/shadow/pred_a.csv") is None

    @pytest.mark.parametrize("change", ["the file was replaced", "it was deleted", "its output is a newer one's"])
    def test_what_was_replaced_meanwhile_is_not_compared(self, bucket, tmp_path, change):
        event, receipt = scored(bucket, tmp_path, survey(5))
        if change == "the file was replaced":
            dropped(bucket, "a.csv", survey(6))
        elif change == "it was deleted":
            bucket.delete("a.csv")
        else:
            put(bucket, "output/pred_a.csv", b"", metadata={SOURCE_GENERATION: "99"})

        with pytest.raises(NothingToCompare, match="replaced"):
            shadow_of(event, receipt, fetched(tmp_path, "2")).run(Workshop(bucket))

    def test_an_output_that_lost_rows_is_not_compared(self, bucket, tmp_path):
        event, receipt = scored(bucket, tmp_path, survey(5))
        short = b"".join(get(bucket, "output/pred_a.csv").splitlines(keepends=True)[:-1])
        put(bucket, "output/pred_a.csv", short, metadata={SOURCE_GENERATION: str(event.generation)})

        with pytest.raises(NothingToCompare, match="replaced"):
            shadow_of(event, receipt, fetched(tmp_path, "2")).run(Workshop(bucket))

    def test_a_shadow_s_output_of_a_newer_generation_is_left_alone(self, bucket, tmp_path):
        event, receipt = scored(bucket, tmp_path, survey(5))
        put(bucket, "output/shadow/pred_a.csv", b"newer", metadata={SOURCE_GENERATION: "99"})

        shadow_of(event, receipt, fetched(tmp_path, "2")).run(Workshop(bucket))

        assert get(bucket, "output/shadow/pred_a.csv") == b"newer"

    def test_a_staging_version_that_wants_other_columns_fails_alone(self, bucket, tmp_path):
        # Given a file that production can read and staging cannot
        other = replace(SPEC, columns=(*SPEC.columns[:2], replace(SPEC.columns[2], name="years")))
        event, receipt = scored(bucket, tmp_path, survey(5))
        worker = Worker(bucket, MemoryQueue(), Here(bucket), Here(bucket), InForce())
        delivery = delivered(worker, event)

        worker.line.send(delivery, [shadow_of(event, receipt, fetched(tmp_path, "2", spec=other))])

        wait_for(lambda: len(worker.queue) == 0)
        assert "different inputs: age, years" in record_of(bucket, event)["failed"]


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
            ("2026-01-02T03:04:05.678901+00:00", datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)),
            ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
            ("", datetime.fromtimestamp(0, UTC)),
            ("yesterday", datetime.fromtimestamp(0, UTC)),
        ],
    )
    def test_the_time_of_an_event_however_it_is_told(self, text, expected):
        assert event_time(ObjectEvent("b", "a.csv", Generation(1), text)) == expected

    def test_a_failed_record_says_who_what_when_and_why(self):
        event = ObjectEvent("b", "a.csv", Generation(1, 2), "2026-01-02T03:04:05Z")

        assert failed_record(event, "tiny version 1", "tiny version 2", "x" * 5_000) == {
            "schema": "understudy.comparison.failed",
            "version": 1,
            "production": "tiny version 1",
            "staging": "tiny version 2",
            "file": {"name": "a.csv", "generation": "1.2", "event_time": "2026-01-02T03:04:05+00:00"},
            "failed": "x" * 1_000,
        }


def delivered(worker, event):
    worker.queue.publish([event.to_message()])
    return worker.take()


class TestTheLine:
    @pytest.fixture
    def worker(self, bucket):
        made = Worker(bucket, MemoryQueue(), Here(bucket), Here(bucket), InForce())
        yield made
        made.leases.give_all_back()

    def line(self, worker, pool, **options):
        return ShadowLine(worker.bucket, worker.leases, {STAGING: pool}, 1, **options)

    def test_where_too_many_wait_the_shadow_is_skipped_and_that_is_recorded(self, worker, bucket, tmp_path):
        event, receipt = scored(bucket, tmp_path, survey(5))
        line = self.line(worker, worker.shadows, longest=0)

        with capture_logs() as logs:
            line.send(delivered(worker, event), [shadow_of(event, receipt, fetched(tmp_path, "2"))])

        assert record_of(bucket, event)["failed"] == "skipped: 0 files were waiting for their shadow"
        assert logs[0]["consequence"] == "production is not affected"
        assert len(worker.queue) == 0
        assert worker.shadows.tasks == []

    def test_what_waits_is_counted_with_what_runs(self, worker, bucket, tmp_path):
        # Given a line of two with one shadow that runs, and one that waits
        import threading

        going = threading.Event()

        class Slow:
            def run(self, _task, _timeout):
                assert going.wait(PATIENCE)

            def kill(self):
                going.set()

        line = self.line(worker, Slow(), longest=2)
        staging = fetched(tmp_path, "2")
        files = [scored(bucket, tmp_path, survey(2), name=f"{n}.csv") for n in range(3)]

        for event, receipt in files:
            line.send(delivered(worker, event), [shadow_of(event, receipt, staging)])

        # Then the third is skipped, and the others run
        assert len(line) == 2
        assert "skipped: 2 files" in record_of(bucket, files[2][0])["failed"]
        going.set()
        wait_for(lambda: len(line) == 0)
        assert len(worker.queue) == 0

    def test_at_the_end_what_waits_is_given_back_and_what_runs_has_its_time(self, worker, bucket, tmp_path):
        import threading
        import time

        started, killed = threading.Event(), threading.Event()

        class Hanging:
            def run(self, _task, _timeout):
                started.set()
                assert killed.wait(PATIENCE)
                raise RuntimeError("it was ended")

        line = self.line(worker, Hanging())
        staging = fetched(tmp_path, "2")
        files = [scored(bucket, tmp_path, survey(2), name=f"{n}.csv") for n in range(3)]
        for event, receipt in files:
            line.send(delivered(worker, event), [shadow_of(event, receipt, staging)])
        assert started.wait(PATIENCE)

        line.drain(time.monotonic() + 0.1, killed.set)

        # Then all come again, and nothing says that a comparison failed
        assert worker.queue.backlog().leased == 0
        assert worker.queue.backlog().waiting == 3
        assert contents(bucket, COMPARISONS) == {}

        # And one that comes too late is given back at once
        late, receipt = scored(bucket, tmp_path, survey(2), name="late.csv")
        line.send(delivered(worker, late), [shadow_of(late, receipt, staging)])
        assert worker.queue.backlog().waiting == 4

    @pytest.mark.parametrize("error", [BucketError("no space left"), RuntimeError("nobody has foreseen this")])
    def test_a_failure_that_cannot_be_recorded_is_logged_and_the_message_acked(self, worker, bucket, tmp_path, error):
        event, receipt = scored(bucket, tmp_path, survey(5))

        def fail(operation, name):
            if name.startswith(COMPARISONS):
                raise error

        bucket.hook = fail
        with capture_logs() as logs:
            worker.line.send(delivered(worker, event), [shadow_of(event, receipt, fetched(tmp_path, "2"))])
            wait_for(lambda: len(worker.queue) == 0)

        assert [log["event"] for log in logs] == ["shadow failed", "failed comparison not recorded"]


class TestTheShare:
    def test_no_file_and_every_file(self):
        names = [f"{n}.csv" for n in range(1_000)]

        assert not any(in_shadow(name, 0.0) for name in names)
        assert all(in_shadow(name, 1.0) for name in names)

    def test_a_share_is_about_that_share_and_a_larger_one_contains_a_smaller(self):
        names = [f"flights-{n}.csv" for n in range(4_000)]
        tenth, half = ({name for name in names if in_shadow(name, share)} for share in (0.1, 0.5))

        assert 300 < len(tenth) < 500
        assert 1_850 < len(half) < 2_150
        assert tenth < half

    def test_two_processes_choose_alike(self, pools):
        names = [f"flights-{n}.csv" for n in range(200)]

        theirs = [pools[0].run(Call(in_shadow, (name, 0.3)), PATIENCE) for name in names]

        assert theirs == [in_shadow(name, 0.3) for name in names]
        assert pools[0].run(Call(os.getpid), PATIENCE) != os.getpid()


NAMES = ["clean.csv", "spoiled.csv", "bad.csv"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def place(folder):
    """A bucket on disk with three files: a clean one, one with bad rows, and one that is no survey."""
    bucket = FolderBucket(str(folder / "bucket"))
    files = [survey(200), table(["1,red,x,3,no", "2,red,1,3,no", "3"]), b"no,survey\n"]
    events = [dropped(bucket, name, data) for name, data in zip(NAMES, files, strict=True)]
    return bucket, events


@pytest.fixture(scope="module")
def pools(place):
    made = Pool(1, place[0].url, log_level="error"), Pool(1, place[0].url, log_level="error")
    yield made
    for pool in made:
        pool.kill()


def run(folder, place, pools, staging, *, deed="", name, **options):
    """Scores the files again; gives outputs (with metadata), receipts (without times), and what the queue has left."""
    bucket, events = place
    for old in list(bucket.objects(OUTPUT)):
        bucket.delete(old.name)
    queue = LocalQueue(str(folder / f"{name}.db"), policy=Policy(lease=30.0, min_backoff=0.1))
    queue.publish(event.to_message() for event in events)
    worker = Worker(
        bucket,
        queue,
        Lent(pools[0]),
        Lent(pools[1], deed),
        InForce(fetched(folder, "1"), staging),
        **options,
    )
    worker.loop.run(until_idle=0.0)
    left = queue.backlog()
    queue.close()
    outputs = {
        name: (data, dict(bucket.stat(name).metadata)) for name, data in contents(bucket, f"{OUTPUT}pred_").items()
    }
    receipts = {name: without_times(data) for name, data in contents(bucket, RECEIPTS).items()}
    return outputs, receipts, (left.waiting, left.leased, left.dead)


@pytest.fixture(scope="module")
def undisturbed(folder, place, pools):
    """What production writes without any shadow."""
    outputs, receipts, left = run(folder, place, pools, None, name="undisturbed")
    assert len(outputs) == 2
    assert sorted(receipt["status"] for receipt in receipts.values()) == ["rejected", "scored", "scored"]
    assert left == (0, 0, 0)
    return outputs, receipts


@pytest.mark.parametrize(
    ("deed", "told"),
    [
        ("raises", "it was not meant to be"),
        ("sleeps for ever", "took longer than 0.5 s and was ended"),
        ("kills its process", "was killed by SIGKILL"),
        ("ends its process", "ended with exit status 3"),
        ("leaves", "ended with exit status 1"),
        ("eats memory", "MemoryError"),
    ],
)
def test_whatever_a_shadow_does_production_is_the_same_bytes_and_every_message_is_acked(
    deed, told, folder, place, pools, undisturbed
):
    # Given a process for shadows that has started, so that no time but the deed's counts
    pools[1].run(Call(os.getpid), PATIENCE)

    outputs, receipts, left = run(
        folder,
        place,
        pools,
        fetched(folder, "2", bias=2.0),
        deed=deed,
        name=deed,
        shadow_seconds=0.5 if "sleep" in deed else PATIENCE,
    )

    assert (outputs, receipts) == undisturbed
    assert left == (0, 0, 0)
    records = [json.loads(data) for data in contents(place[0], COMPARISONS).values()]
    assert sorted(record["file"]["name"] for record in records) == ["clean.csv", "spoiled.csv"]
    assert all(told in record["failed"] for record in records)
    assert all(record["staging"] == "tiny version 2" for record in records)


def test_a_shadow_that_works_changes_nothing_either(folder, place, pools, undisturbed):
    # A process that was given a memory limit by a test before this one is not for others
    with pytest.raises(Exception, match="ended"):
        pools[1].run(Hostile("ends its process"), PATIENCE)

    outputs, receipts, left = run(folder, place, pools, fetched(folder, "2", bias=2.0), name="works")

    assert (outputs, receipts) == undisturbed
    assert left == (0, 0, 0)
    assert {record.get("schema") for record in map(json.loads, contents(place[0], COMPARISONS).values())} == {
        "understudy.comparison"
    }
    assert len(contents(place[0], f"{OUTPUT}shadow/")) == 2


def test_classes_that_differ_are_recorded_with_the_reason(folder, place, pools, undisturbed):
    staging = fetched(folder, "3", spec=replace(SPEC, classes=("no", "maybe")))

    outputs, receipts, left = run(folder, place, pools, staging, name="classes")

    assert (outputs, receipts) == undisturbed
    assert left == (0, 0, 0)
    records = [json.loads(data) for data in contents(place[0], COMPARISONS).values()]
    assert len(records) == 2
    assert all("their classes differ: no, yes against no, maybe" in record["failed"] for record in records)


def test_the_receipt_stands_before_the_shadow_starts(bucket, tmp_path):
    # Given a shadow that looks for the receipt and the output
    seen = []

    class Looking:
        def run(self, task, _timeout):
            key = task.receipt.key
            seen.append((bucket.stat(key.receipt) is not None, bucket.stat(key.output) is not None))

    worker = Worker(
        bucket, MemoryQueue(), Here(bucket), Looking(), InForce(fetched(tmp_path, "1"), fetched(tmp_path, "2"))
    )
    worker.queue.publish([dropped(bucket, "a.csv", survey(3)).to_message()])

    worker.handle()

    wait_for(lambda: len(worker.queue) == 0)
    assert seen == [(True, True)]
    worker.leases.give_all_back()
