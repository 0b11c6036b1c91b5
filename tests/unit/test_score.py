"""One attempt at one file: whatever the file is, a claim says what came of it; whatever the bucket does, none lies."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from ledger.commit import OUTCOME, claim_metadata, open_claim
from ledger.names import Key
from ledger.receipt import MAX_LISTED_ERRORS, ModelUsed, Outcome, RowError, Source, Status
from models.scoring.table.limits import Limits
from tests.memory import MemoryBucket
from tests.worker_fixtures import HEADER, SPEC, THREE, contents, dropped, scorer, survey, table
from transport.bucket import READS, BucketError, DamagedRead, get, put
from transport.event import Generation, ObjectEvent
from worker.processes.scoring_process import Workshop
from worker.scoring.score import Attempt, Score, model_used, score_file


@pytest.fixture
def bucket():
    return MemoryBucket()


def attempt_at(event, number=1):
    return Attempt(event, number, "host-17")


def score(bucket, data, name="a.csv", **options):
    """Scores a file; gives the outcome that was claimed and the claim's content."""
    event = dropped(bucket, name, data)
    claim = score_file(bucket, attempt_at(event), scorer(), **options)
    assert claim is not None
    assert claim.name == Key(name, event.generation).claim
    return Outcome.from_json(claim.metadata[OUTCOME]), get(bucket, claim.name)


class TestScored:
    def test_the_claim_has_the_predictions_and_says_all_that_a_receipt_will(self, bucket):
        outcome, content = score(bucket, survey(3))

        assert content.decode().splitlines() == [
            "row,id,prediction,probability,error",
            "1,0,no,0.047425874,",
            "2,1,no,0.008749246,",
            "3,2,no,0.011430203,",
        ]
        assert outcome.status is Status.SCORED
        digest = hashlib.sha256(survey(3)).hexdigest()
        assert outcome.source == Source("bucket", "a.csv", 1, size=len(survey(3)), sha256=digest)
        assert outcome.model == ModelUsed("tiny", "1", "0123456789abcdef", "yes")
        assert (outcome.rows, outcome.rejected_rows, outcome.errors) == (3, 0, ())
        assert outcome.output == "output/pred_a.csv"
        assert outcome.sha256 == hashlib.sha256(content).hexdigest()
        assert set(outcome.timings) == {"read", "validate", "score", "write"}
        assert (outcome.attempt, outcome.worker) == (1, "host-17")
        assert outcome.finished

    def test_only_the_claim_is_written(self, bucket):
        score(bucket, survey(3))

        assert sorted(contents(bucket, "")) == ["a.csv", "output/.claims/a.csv@1"]

    def test_rows_that_cannot_be_scored_are_counted_and_the_first_listed_by_row_and_column(self, bucket):
        lines = [f"{n},red,{'x' if n % 2 else 1},30,no" for n in range(100)]
        outcome, content = score(bucket, table(["0,red", *lines]))

        assert (outcome.status, outcome.rows, outcome.rejected_rows) == (Status.SCORED, 101, 51)
        assert len(outcome.errors) == MAX_LISTED_ERRORS
        assert outcome.errors[0] == RowError("has 2 fields, the header has 5", 1)
        assert outcome.errors[1] == RowError("is not a number: 'x'", 3, "weight")
        assert len(content.splitlines()) == 102

    def test_gzip_gives_the_same_predictions(self, bucket):
        plain = score(bucket, survey(50))
        zipped = score(bucket, gzip.compress(survey(50)), "a.csv.gz")

        assert zipped[1] == plain[1]
        assert zipped[0].output == "output/pred_a.csv.gz.csv"

    @pytest.mark.parametrize("block_bytes", [1 << 10, 5_000, 1 << 20])
    def test_the_block_size_does_not_show(self, bucket, block_bytes):
        assert (
            score(bucket, survey(300), limits=Limits(block_bytes=block_bytes))[1]
            == score(bucket, survey(300), "b.csv")[1]
        )

    def test_a_header_alone_is_scored_with_no_rows(self, bucket):
        outcome, content = score(bucket, HEADER.encode())

        assert (outcome.status, outcome.rows) == (Status.SCORED, 0)
        assert content == b"row,id,prediction,probability,error\n"

    def test_the_generation_asked_for_is_read_also_of_a_rescoring(self, bucket):
        event = dropped(bucket, "a.csv", survey(2))
        again = ObjectEvent("bucket", "a.csv", Generation(event.generation.content, 3))

        claim = score_file(bucket, attempt_at(again, 4), scorer())

        outcome = Outcome.from_json(claim.metadata[OUTCOME])
        assert claim.name == "output/.claims/a.csv@1.3"
        assert (outcome.source.generation, outcome.source.rescore, outcome.attempt) == (1, 3, 4)


class TestRejected:
    @pytest.mark.parametrize(
        ("data", "reason", "column"),
        [
            (b"", "the file is empty", None),
            (b"id,colour,age\n1,red,3\n", "the header lacks 'weight' (it has 'id', 'colour', 'age')", "weight"),
            (b"colour,age,weight,age\n", "the header has the column 'age' twice: 'age' and 'age'", "age"),
            (b"PK\x03\x04", "the file is a zip archive, not CSV", None),
            (bytes(range(256)), "the file is no text: it has zero bytes", None),
            (table(["1,red,1,2,no", '2,"red,1,2,no', "3,red,1,2,no"]), "a quote is opened and never closed", None),
        ],
        ids=["empty", "a missing column", "a column twice", "zip", "binary", "an open quote"],
    )
    def test_a_file_that_is_no_table_is_claimed_as_rejected_with_the_reason(self, bucket, data, reason, column):
        outcome, content = score(bucket, data)

        assert outcome.status is Status.REJECTED
        assert content == b""
        assert outcome.errors[0].message.startswith(reason)
        assert (outcome.errors[0].row, outcome.errors[0].column) == (None, column)
        assert (outcome.output, outcome.sha256, outcome.rows) == (None, "", 0)
        assert outcome.model.version == "1"

    def test_one_that_turns_out_damaged_after_many_good_rows_leaves_no_half_claim(self, bucket):
        outcome, content = score(
            bucket, gzip.compress(survey(60_000))[:-20], "a.csv.gz", limits=Limits(block_bytes=1 << 14)
        )

        assert outcome.status is Status.REJECTED
        assert "gzip data is damaged or cut short after row" in outcome.errors[0].message
        assert content == b""


class TestSuperseded:
    def test_a_file_that_was_replaced_is_claimed_as_superseded(self, bucket):
        event = dropped(bucket, "a.csv", survey(2))
        put(bucket, "a.csv", survey(3))

        claim = score_file(bucket, attempt_at(event), scorer())

        outcome = Outcome.from_json(claim.metadata[OUTCOME])
        assert outcome.status is Status.SUPERSEDED
        assert "replaced or deleted" in outcome.errors[0].message

    def test_a_file_that_was_deleted_too(self, bucket):
        event = dropped(bucket, "a.csv", survey(2))
        bucket.delete("a.csv")

        assert score_file(bucket, attempt_at(event), scorer()) is not None


class TestTheClaimOfAnother:
    @pytest.mark.parametrize("data", [survey(3), b"", None], ids=["scored", "rejected", "superseded"])
    def test_the_first_claim_stands_whatever_the_second_finds(self, bucket, data):
        # Given a claim that appears while this worker scores
        event = dropped(bucket, "a.csv", survey(1) if data is None else data)
        if data is None:
            bucket.delete("a.csv")
        key = Key("a.csv", event.generation)
        first = Outcome(Status.REJECTED, Source("bucket", "a.csv", event.generation.content))

        def other_claims(operation, name):
            if operation == "commit" and name == key.claim:
                bucket.hook = None
                with open_claim(bucket, key, claim_metadata(first)):
                    pass

        bucket.hook = other_claims

        # Then ours is thrown away
        assert score_file(bucket, attempt_at(event), scorer()) is None
        assert Outcome.from_json(bucket.stat(key.claim).metadata[OUTCOME]) == first


class TestABucketThatFails:
    @pytest.mark.parametrize("operation", ["read", "write", "commit"])
    def test_nothing_is_claimed(self, bucket, operation):
        event = dropped(bucket, "a.csv", survey(3))

        def fail(what, _name):
            if what == operation:
                raise BucketError("the network is gone")

        bucket.hook = fail
        with pytest.raises(BucketError, match="the network is gone"):
            score_file(bucket, attempt_at(event), scorer())

        bucket.hook = None
        assert sorted(contents(bucket, "")) == ["a.csv"]

    def test_not_even_where_it_fails_in_the_middle_of_the_file(self, bucket, monkeypatch):
        # Given a stream that breaks after some good rows
        event = dropped(bucket, "a.csv", survey(5_000))
        plain_read = MemoryBucket.read

        class Breaking:
            def __init__(self, stream):
                self.stream, self.left = stream, 50_000

            def read(self, size=-1):
                if self.left <= 0:
                    raise BucketError("the connection was reset")
                block = self.stream.read(min(size, 10_000))
                self.left -= len(block)
                return block

        from contextlib import contextmanager

        @contextmanager
        def read(self, name, generation=None):
            with plain_read(self, name, generation) as stream:
                yield Breaking(stream)

        monkeypatch.setattr(MemoryBucket, "read", read)
        with pytest.raises(BucketError, match="the connection was reset"):
            score_file(bucket, attempt_at(event), scorer(), Limits(block_bytes=2_000))

        assert sorted(contents(bucket, "")) == ["a.csv"]


def test_the_task_scores_with_the_version_that_it_carries(bucket, tmp_path):
    from tests.worker_fixtures import fetched

    event = dropped(bucket, "a.csv", survey(3))
    task = Score(attempt_at(event), fetched(tmp_path, "7", bias=3.0))

    claim = task.run(Workshop(bucket))

    assert json.loads(claim.metadata[OUTCOME])["model"]["version"] == "7"


def test_what_a_receipt_says_of_the_model():
    assert model_used(SPEC).positive_class == "yes"
    assert model_used(THREE).positive_class is None


def test_scoring_logs_no_rows_of_the_file(bucket):
    with capture_logs() as logs:
        score(bucket, table(["1,secret,x,2,no"]))

    assert "secret" not in repr(logs)


LONG = survey(100_000)  # of which more is unread than is looked at first, once it is found to be no table


class Damaging(MemoryBucket):
    """A bucket whose answers are damaged on their way so often, which shows at their end."""

    checks_reads = True

    def __init__(self, times: int, damage: bytes) -> None:
        super().__init__()
        self.times, self.damage, self.reads = times, damage, 0

    @contextmanager
    def read(self, name, generation=None):
        with super().read(name, generation) as stream:
            data = stream.read()
        self.reads += name == "a.csv"
        yield Damaged(self.damage) if name == "a.csv" and self.reads <= self.times else io.BytesIO(data)


class Damaged(io.BytesIO):
    def read(self, size=-1):
        data = super().read(size)
        if not data:
            raise DamagedRead("'a.csv' arrived damaged")
        return data


class TestDamagedOnTheWay:
    @pytest.mark.parametrize(
        "damage",
        [
            survey(3).replace(b"yes", b"n0"),
            b"PK\x03\x04" + survey(3),
            survey(3)[:40],
            survey(200_000),
            gzip.compress(b""),
            LONG.replace(b"weight", b"w@ight", 1),
            b"PK\x03\x04" + LONG,
        ],
        ids=["another cell", "another format", "cut", "another file", "gzip", "another header", "a long file's format"],
    )
    def test_what_was_read_of_it_counts_for_nothing_and_it_is_read_again(self, damage):
        bucket = Damaging(2, damage)

        outcome, content = score(bucket, survey(3))

        assert bucket.reads == 3
        assert outcome.status is Status.SCORED
        assert content == score(MemoryBucket(), survey(3))[1]

    def test_a_file_that_arrives_damaged_each_time_is_not_the_file_s_fault(self):
        bucket = Damaging(READS, survey(3)[:40])
        event = dropped(bucket, "a.csv", survey(3))

        with pytest.raises(DamagedRead):
            score_file(bucket, attempt_at(event), scorer())

        assert set(contents(bucket, "output/")) == set()

    @pytest.mark.parametrize("checks_reads", [True, False])
    def test_a_rejected_file_is_read_on_only_where_its_end_tells_of_damage(self, checks_reads, monkeypatch):
        bucket = MemoryBucket()
        bucket.checks_reads = checks_reads
        read, ends = bucket.read, []

        @contextmanager
        def followed(name, generation=None):
            with read(name, generation) as stream:
                try:
                    yield stream
                finally:
                    ends.append(stream.tell())

        monkeypatch.setattr(bucket, "read", followed)
        event = dropped(bucket, "a.csv", LONG.replace(b"weight", b"w@ight", 1))
        claim = score_file(bucket, attempt_at(event), scorer())

        assert Outcome.from_json(claim.metadata[OUTCOME]).status is Status.REJECTED
        assert [end == event.size for end in ends] == [checks_reads]
