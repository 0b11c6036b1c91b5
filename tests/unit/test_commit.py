"""The commit protocol step by step, each state that a dead worker can leave behind. (All of their interleavings:
test_commit_interleavings.)"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest

from ledger.commit import (
    OUTCOME,
    SOURCE_GENERATION,
    bring_to_receipt,
    claim_metadata,
    claim_outcome,
    open_claim,
    output_generation,
    publish,
    read_receipt,
)
from ledger.names import Key
from ledger.receipt import ModelUsed, Outcome, RowError, Source, Status
from tests.memory import MemoryBucket
from tests.worker_fixtures import contents
from transport.bucket import BucketError, ObjectInfo, PreconditionFailed, get, put
from transport.event import Generation


@pytest.fixture
def bucket():
    return MemoryBucket()


def key(content=5, rescore=0):
    return Key("a.csv", Generation(content, rescore))


def outcome(of, status=Status.SCORED, version="1"):
    source = Source("bucket", of.name, of.generation.content, of.generation.rescore)
    if status is not Status.SCORED:
        return Outcome(status, source, errors=(RowError("it is no table"),))
    return Outcome(status, source, ModelUsed("tiny", version, "run"), rows=1, output=of.output, sha256=f"sum-{version}")


def scoring(bucket, of, status=Status.SCORED, version="1", calls=None):
    """What a worker with this version would do for `bring_to_receipt`."""

    def score():
        if calls is not None:
            calls.append(version)
        if status is not Status.SCORED:
            return claim_outcome(bucket, outcome(of, status))
        metadata: dict[str, str] = {}
        try:
            with open_claim(bucket, of, metadata) as claim:
                claim.write(f"{of} by {version}".encode())
                metadata.update(claim_metadata(outcome(of, version=version)))
        except PreconditionFailed:
            return None
        return claim.info

    return score


def must_not_score():
    pytest.fail("it was scored again")


class TestOneWorker:
    def test_a_scored_file_has_output_and_receipt_and_no_claim(self, bucket):
        receipt, mine = bring_to_receipt(bucket, key(), scoring(bucket, key()))

        assert mine
        assert receipt == outcome(key())
        assert set(contents(bucket, "")) == {key().output, key().receipt}
        assert get(bucket, key().output) == b"a.csv@5 by 1"
        assert bucket.stat(key().output).metadata == {
            SOURCE_GENERATION: "5",
            "sha256": "sum-1",
            "model-version": "1",
        }
        assert read_receipt(bucket, key()) == receipt

    @pytest.mark.parametrize("status", [Status.REJECTED, Status.SUPERSEDED, Status.DEAD_LETTERED])
    def test_any_other_outcome_has_a_receipt_and_no_output(self, bucket, status):
        receipt, mine = bring_to_receipt(bucket, key(), scoring(bucket, key(), status))

        assert (receipt.status, mine) == (status, True)
        assert set(contents(bucket, "")) == {key().receipt}

    def test_a_rejected_file_leaves_an_older_output_as_it_is(self, bucket):
        bring_to_receipt(bucket, key(5), scoring(bucket, key(5)))

        bring_to_receipt(bucket, key(6), scoring(bucket, key(6), Status.REJECTED))

        assert output_generation(bucket.stat(key().output)) == Generation(5)

    def test_a_file_that_was_replaced_and_scored_meanwhile_is_superseded(self, bucket):
        bring_to_receipt(bucket, key(6), scoring(bucket, key(6)))

        receipt, _ = bring_to_receipt(bucket, key(5), scoring(bucket, key(5)))

        assert (receipt.status, receipt.output, receipt.sha256) == (Status.SUPERSEDED, None, "")
        assert receipt.errors[0].message == "a newer generation of this file was scored first"
        assert get(bucket, key().output) == b"a.csv@6 by 1"
        assert read_receipt(bucket, key(5)) == receipt

    def test_a_first_look_costs_one_call_and_may_be_left_out(self, bucket):
        # Given a bucket that counts its calls
        calls: list[tuple[str, str]] = []
        bucket.hook = lambda operation, name: calls.append((operation, name))

        # When a first delivery is settled
        bring_to_receipt(bucket, key(5), scoring(bucket, key(5)), look_for_claim=False)
        without = list(calls)
        calls.clear()
        bring_to_receipt(bucket, key(6), scoring(bucket, key(6)))

        # Then one look at the claim is all that the two differ by
        assert ("stat", key(5).claim) not in without
        assert calls[1] == ("stat", key(6).claim)


class TestRedelivery:
    def test_with_a_receipt_nothing_is_done_again(self, bucket):
        bring_to_receipt(bucket, key(), scoring(bucket, key()))
        before = {name: bucket.stat(name).generation for name in contents(bucket, "")}

        for look in (True, False):
            receipt, mine = bring_to_receipt(bucket, key(), must_not_score, look_for_claim=look)
            assert (receipt, mine) == (outcome(key()), False)

        assert {name: bucket.stat(name).generation for name in contents(bucket, "")} == before

    def test_a_claim_left_behind_beside_a_receipt_is_removed(self, bucket):
        bring_to_receipt(bucket, key(), scoring(bucket, key()))
        scoring(bucket, key(), version="2")()

        receipt, _ = bring_to_receipt(bucket, key(), must_not_score)

        assert receipt.model.version == "1"
        assert key().claim not in contents(bucket, "")

    def test_the_claim_of_a_dead_worker_is_followed_and_not_scored_again(self, bucket):
        # Given a worker that died after it had claimed
        scoring(bucket, key(), version="1")()

        # When the message comes to one with a newer version
        receipt, mine = bring_to_receipt(bucket, key(), must_not_score)

        # Then the first claim stands
        assert mine
        assert receipt.model.version == "1"
        assert get(bucket, key().output) == b"a.csv@5 by 1"

    def test_without_the_first_look_the_scoring_is_thrown_away_and_the_claim_followed(self, bucket):
        scoring(bucket, key(), version="1")()
        calls: list[str] = []

        receipt, _ = bring_to_receipt(
            bucket, key(), scoring(bucket, key(), version="2", calls=calls), look_for_claim=False
        )

        assert calls == ["2"]
        assert receipt.model.version == "1"
        assert get(bucket, key().output) == b"a.csv@5 by 1"

    def test_of_a_worker_that_died_after_publishing_the_output_is_left_as_it_is(self, bucket):
        # Given an output that stands, with its claim, and no receipt
        bring_to_receipt(bucket, key(), scoring(bucket, key()))
        bucket.delete(key().receipt)
        scoring(bucket, key())()
        published = bucket.stat(key().output).generation

        receipt, mine = bring_to_receipt(bucket, key(), must_not_score)

        assert (receipt.status, mine) == (Status.SCORED, True)
        assert bucket.stat(key().output).generation == published

    @pytest.mark.parametrize("dies_at", range(1, 10))
    def test_whatever_call_a_worker_dies_at_the_next_one_finishes(self, bucket, dies_at):
        # Given a worker that dies before one of its calls
        steps = 0

        def die(_operation, _name):
            nonlocal steps
            steps += 1
            if steps == dies_at:
                raise BucketError("it died")

        bucket.hook = die
        with pytest.raises(BucketError):
            bring_to_receipt(bucket, key(), scoring(bucket, key()))
        bucket.hook = None

        # When another takes the message
        receipt, _ = bring_to_receipt(bucket, key(), scoring(bucket, key(), version="2"))

        # Then output and receipt agree, and nothing else is left
        assert set(contents(bucket, "")) == {key().output, key().receipt}
        assert receipt.sha256 == bucket.stat(key().output).metadata["sha256"]


class TestTwoWorkers:
    def test_the_first_claim_stands(self, bucket):
        # Given two workers with different versions, of which the second claims while the first still scores
        def overtaken():
            bring_to_receipt(bucket, key(), scoring(bucket, key(), version="2"))
            return scoring(bucket, key(), version="1")()

        receipt, mine = bring_to_receipt(bucket, key(), overtaken)

        # Then the first finds a receipt of the other, and its own claim gone
        assert not mine
        assert receipt.model.version == "2"
        assert get(bucket, key().output) == b"a.csv@5 by 2"
        assert key().claim not in contents(bucket, "")

    def test_a_claim_that_goes_away_meanwhile_is_asked_for_again(self, bucket):
        # Given another worker that finishes just as ours has found its claim
        scoring(bucket, key(), version="2")()
        passed: list[str] = []

        def other_finishes(operation, name):
            if operation == "copy" and not passed:
                passed.append(name)
                bucket.hook = None
                bring_to_receipt(bucket, key(), must_not_score)

        bucket.hook = other_finishes
        receipt, mine = bring_to_receipt(bucket, key(), must_not_score)

        assert passed
        assert not mine
        assert receipt.model.version == "2"

    def test_a_receipt_written_at_the_last_moment_is_followed(self, bucket):
        def other_finishes(operation, name):
            if operation == "commit" and name == key().receipt:
                bucket.hook = None
                bring_to_receipt(bucket, key(), must_not_score)

        bucket.hook = other_finishes
        receipt, mine = bring_to_receipt(bucket, key(), scoring(bucket, key()))

        assert not mine
        assert receipt == outcome(key())

    def test_a_newer_output_that_appears_meanwhile_supersedes(self, bucket):
        def newer_appears(operation, name):
            if operation == "copy" and name == key().output:
                bucket.hook = None
                bring_to_receipt(bucket, key(6), scoring(bucket, key(6)))

        bucket.hook = newer_appears
        receipt, _ = bring_to_receipt(bucket, key(5), scoring(bucket, key(5)))

        assert receipt.status is Status.SUPERSEDED
        assert get(bucket, key().output) == b"a.csv@6 by 1"


class TestRescoring:
    def test_rescored_generations_follow_one_another(self, bucket):
        for rescore, version in ((0, "1"), (1, "2"), (2, "3")):
            bring_to_receipt(bucket, key(5, rescore), scoring(bucket, key(5, rescore), version=version))

        assert get(bucket, key().output) == b"a.csv@5.2 by 3"
        assert [read_receipt(bucket, key(5, n)).model.version for n in range(3)] == ["1", "2", "3"]

    def test_an_earlier_rescoring_that_comes_late_is_superseded(self, bucket):
        bring_to_receipt(bucket, key(5, 2), scoring(bucket, key(5, 2)))

        for late in (key(5), key(5, 1)):
            assert bring_to_receipt(bucket, late, scoring(bucket, late))[0].status is Status.SUPERSEDED

    def test_new_content_is_newer_than_any_rescoring_of_the_old(self, bucket):
        bring_to_receipt(bucket, key(5, 9), scoring(bucket, key(5, 9)))
        bring_to_receipt(bucket, key(6), scoring(bucket, key(6)))

        assert output_generation(bucket.stat(key().output)) == Generation(6)


class TestPublish:
    """The rule of every output, production's and the shadow's."""

    @contextmanager
    def written(self, bucket, generation):
        looks: list[int] = []

        def write(looked_at):
            looks.append(looked_at)
            put(
                bucket,
                "output/x",
                str(generation).encode(),
                if_generation=looked_at,
                metadata={SOURCE_GENERATION: str(generation)},
            )

        yield write, looks

    def publish(self, bucket, generation):
        with self.written(bucket, generation) as (write, _):
            return publish(bucket, "output/x", generation, write)

    def test_a_first_output_is_written_at_one_go(self, bucket):
        with self.written(bucket, Generation(5)) as (write, looks):
            assert publish(bucket, "output/x", Generation(5), write)

        assert looks == [0]

    def test_a_newer_one_replaces_an_older_and_never_the_other_way_round(self, bucket):
        assert self.publish(bucket, Generation(5))
        assert self.publish(bucket, Generation(6))
        assert not self.publish(bucket, Generation(5, 3))
        assert get(bucket, "output/x") == b"6"

    def test_the_same_generation_is_published_once(self, bucket):
        assert self.publish(bucket, Generation(5))
        standing = bucket.stat("output/x").generation

        assert self.publish(bucket, Generation(5))
        assert bucket.stat("output/x").generation == standing

    @pytest.mark.parametrize("metadata", [{}, {SOURCE_GENERATION: ""}, {SOURCE_GENERATION: "yesterday"}, {"a": "b"}])
    def test_an_output_of_foreign_make_is_replaced(self, bucket, metadata):
        put(bucket, "output/x", b"made by hand", metadata=metadata)

        assert self.publish(bucket, Generation(5))
        assert get(bucket, "output/x") == b"5"

    def test_an_output_that_is_deleted_meanwhile_is_written(self, bucket):
        put(bucket, "output/x", b"old", metadata={SOURCE_GENERATION: "4"})

        def deleted(operation, _name):
            if operation == "stat":
                bucket.hook = None
                bucket.delete("output/x")

        bucket.hook = deleted
        assert self.publish(bucket, Generation(5))
        assert get(bucket, "output/x") == b"5"

    def test_one_that_loses_every_race_goes_on_until_it_knows(self, bucket):
        # Given others that publish generations 1 to 20, one before each of our tries
        others = iter(range(1, 21))

        def other_first(operation, _name):
            if operation == "commit" and (next_one := next(others, None)):
                hook, bucket.hook = bucket.hook, None
                put(bucket, "output/x", b"other", metadata={SOURCE_GENERATION: str(next_one)})
                bucket.hook = hook

        bucket.hook = other_first
        assert self.publish(bucket, Generation(50))
        assert get(bucket, "output/x") == b"50"

    def test_what_the_bucket_refuses_otherwise_is_raised(self, bucket):
        def fail(operation, _name):
            if operation == "commit":
                raise BucketError("no space")

        bucket.hook = fail
        with pytest.raises(BucketError, match="no space"):
            self.publish(bucket, Generation(5))


def test_the_generation_of_an_output_is_read_from_its_metadata():
    info = ObjectInfo("output/x", 1, 0, 0.0, {SOURCE_GENERATION: "5.2"})

    assert output_generation(info) == Generation(5, 2)
    assert output_generation(replace(info, metadata={})) == Generation(0)


def test_a_claim_of_foreign_make_or_a_receipt_that_is_none_is_told_and_not_guessed_at(bucket):
    put(bucket, key(5).claim, b"", metadata={"a": "b"})
    with pytest.raises(KeyError, match=OUTCOME):
        bring_to_receipt(bucket, key(5), must_not_score)

    put(bucket, key(6).receipt, b"{}")
    with pytest.raises(ValueError, match="not an outcome"):
        bring_to_receipt(bucket, key(6), must_not_score)
