"""Several challengers: each is scored apart from the others, recorded in places of its own, and harms none of them."""

from __future__ import annotations

import json
import threading
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from deploy.waiting import wait_for
from edge.command import main
from ledger.names import (
    COMPARISONS_OF,
    LONGEST_ALIAS,
    OUTPUT,
    RECEIPTS,
    Key,
    ShadowKey,
    is_input,
    parse_comparison,
)
from models.commands import aliases as moving
from models.commands import listing
from models.registry.challengers import CHALLENGERS, challengers, not_followed
from models.registry.client import PRODUCTION, STAGING, Registry, RegistryUnreachable
from tests.memory import MemoryBucket, MemoryQueue
from tests.unit.registered import MODEL, good_files, new_registry, register
from tests.unit.test_follow import World
from tests.worker_fixtures import Here, Worker, contents, dropped, fetched, survey
from transport.bucket import get
from transport.event import Generation
from transport.queue import Policy
from worker.__main__ import Work
from worker.versions.swap import InForce

SECOND, THIRD = "staging-2", "staging-3"
PATIENCE = 300.0


class TestWhoIsCompared:
    @pytest.mark.parametrize(
        ("standing", "compared"),
        [
            ({}, {}),
            ({PRODUCTION: "1", STAGING: "1"}, {}),
            ({PRODUCTION: "1", STAGING: "2", SECOND: "3"}, {STAGING: "2", SECOND: "3"}),
            ({PRODUCTION: "1", SECOND: "3", THIRD: "3", STAGING: "2"}, {STAGING: "2", SECOND: "3"}),
            ({PRODUCTION: "2", STAGING: "2", SECOND: "3"}, {SECOND: "3"}),
            ({STAGING: "2", "staging-10": "3", "canary": "4"}, {STAGING: "2"}),
        ],
    )
    def test_each_version_once_and_never_production_s(self, standing, compared):
        assert challengers(standing) == compared
        assert list(challengers(standing)) == list(compared)

    def test_the_versions_in_force_are_chosen_by_the_same_rule(self, tmp_path):
        one, two, three = (fetched(tmp_path, version) for version in "123")
        in_force = InForce(one, two).moved(SECOND, three).moved(THIRD, two)

        assert in_force.shadows == {STAGING: two, SECOND: three}
        assert in_force.moved(PRODUCTION, three).shadows == {STAGING: two}
        assert in_force.moved(STAGING, None).shadows == {SECOND: three, THIRD: two}
        assert in_force.moved(SECOND, None).moved(THIRD, None) == InForce(one, two)

    def test_an_alias_that_is_not_followed_is_told_with_what_to_do(self):
        standing = {PRODUCTION: "1", STAGING: "2", SECOND: "3", "staging-10": "4", "stagingx": "5"}

        assert not_followed(standing, {PRODUCTION, STAGING, SECOND}) == {
            "staging-10": "give it one of the names staging, staging-2 … staging-9"
        }
        assert not_followed({SECOND: "3"}, {STAGING}) == {SECOND: "start the workers with --shadow-versions 2 or more"}


names = st.lists(
    st.sampled_from(["staging-2", "staging", "pred_a", "output", "comparisons-of", "a", "shadow"]),
    min_size=1,
    max_size=3,
).map(lambda parts: "/".join(parts) + ".csv")
aliases = st.sampled_from(["", *CHALLENGERS[1:]])
inputs = names.filter(lambda name: is_input(name, name[: name.rfind("/") + 1]))


class TestNames:
    def test_of_the_first_they_are_as_ever(self):
        key = Key("in/a.csv", Generation(7, 1))
        first = ShadowKey("in/a.csv", Generation(7, 1))

        assert (first.shadow, first.comparison) == (key.shadow, key.comparison)
        assert first.comparison == "output/comparisons/in/a.csv@7.1.json"

    def test_of_a_further_one_they_lie_in_a_folder_of_its_alias(self):
        key = ShadowKey("in/a.csv", Generation(7, 1), SECOND)

        assert key.shadow == "output/shadow/staging-2/pred_in/a.csv"
        assert key.comparison == "output/comparisons-of/staging-2/in/a.csv@7.1.json"
        assert (key.output, key.receipt) == (Key(*astuple(key)).output, Key(*astuple(key)).receipt)

    @given(inputs, inputs, aliases, aliases)
    @example("staging-2/a.csv", "a.csv", "", SECOND)
    def test_no_two_share_a_place_whatever_their_prefix_is_called(self, one, other, alias, another):
        first, second = ShadowKey(one, Generation(1), alias), ShadowKey(other, Generation(1), another)
        if first != second:
            assert {first.shadow, first.comparison}.isdisjoint({second.shadow, second.comparison})
            assert {first.shadow, first.comparison}.isdisjoint({second.output, second.receipt, second.claim})
        assert parse_comparison(first.comparison) == first

    @pytest.mark.parametrize("prefix", ["", OUTPUT, COMPARISONS_OF, f"{COMPARISONS_OF}staging-2/", RECEIPTS])
    def test_none_is_an_input(self, prefix):
        key = ShadowKey("a.csv", Generation(1), SECOND)

        assert not is_input(key.shadow, prefix)
        assert not is_input(key.comparison, prefix)

    @pytest.mark.parametrize(
        "name", [COMPARISONS_OF, f"{COMPARISONS_OF}a.csv@1.json", f"{COMPARISONS_OF}/a.csv@1.json"]
    )
    def test_other_names_are_no_comparisons(self, name):
        assert parse_comparison(name) is None

    def test_a_worker_follows_at_most_all_of_them(self):
        [most] = [bound.le for bound in Work.model_fields["shadow_versions"].metadata if hasattr(bound, "le")]

        assert most == len(CHALLENGERS)

    def test_the_longest_alias_is_one_that_the_length_of_names_allows_for(self):
        assert max(map(len, CHALLENGERS)) == len(LONGEST_ALIAS)


def astuple(key):
    return key.name, key.generation


@pytest.fixture
def bucket():
    return MemoryBucket()


class Silent(Here):
    """Runs nothing until it is told to; then each task ends with this error, or well."""

    def __init__(self, bucket, error=None):
        super().__init__(bucket)
        self.error, self.going, self.begun = error, threading.Event(), threading.Event()

    def run(self, task, timeout):
        self.begun.set()
        assert self.going.wait(PATIENCE)
        if self.error:
            raise self.error
        return super().run(task, timeout)

    def kill(self):
        self.error = self.error or RuntimeError("it was ended")
        self.going.set()


@pytest.fixture
def pools(bucket):
    return {STAGING: Here(bucket), SECOND: Here(bucket), THIRD: Here(bucket)}


@pytest.fixture
def in_force(tmp_path):
    further = {SECOND: fetched(tmp_path, "3", bias=2.0), THIRD: fetched(tmp_path, "4", bias=3.0)}
    return InForce(fetched(tmp_path, "1"), fetched(tmp_path, "2", bias=1.0), further)


@pytest.fixture
def start(bucket, pools, in_force):
    """Starts a worker on the bucket and one queue, as one that takes the place of one that died."""
    queue = MemoryQueue(Policy(lease=1_000.0, min_backoff=0.1))
    started = []

    def begin(**options):
        worker = Worker(
            bucket, queue, Here(bucket), pools[STAGING], in_force, more_shadows=pools, drain_seconds=0.1, **options
        )
        started.append(worker)
        return worker

    yield begin
    for pool in pools.values():
        pool.kill()
    for worker in started:
        worker.leases.give_all_back()


def staging_of(bucket, key):
    record = json.loads(get(bucket, key.comparison))
    return record["staging"] if "failed" in record else record["pair"]["staging"]["version"]


class TestTheWay:
    def test_each_has_an_output_and_a_record_of_its_own(self, bucket, start, pools):
        worker = start()
        event = dropped(bucket, "a.csv", survey(20))
        worker.queue.publish([event.to_message()])

        worker.handle()

        keys = [ShadowKey("a.csv", event.generation, alias) for alias in ("", SECOND, THIRD)]
        assert [bucket.stat(key.shadow).metadata["model-version"] for key in keys] == ["2", "3", "4"]
        assert len({get(bucket, key.shadow) for key in keys}) == 3
        assert [staging_of(bucket, key) for key in keys] == ["2", "3", "4"]
        assert [len(pool.tasks) for pool in pools.values()] == [1, 1, 1]
        wait_for(lambda: len(worker.queue) == 0)

    def test_one_that_fails_is_recorded_and_the_others_are_compared(self, bucket, start, pools):
        pools[SECOND] = Silent(bucket, RuntimeError("it crashed"))
        pools[SECOND].going.set()
        worker = start()
        event = dropped(bucket, "a.csv", survey(5))
        worker.queue.publish([event.to_message()])

        with capture_logs() as logs:
            worker.handle()
            wait_for(lambda: len(worker.queue) == 0)

        [told] = [log for log in logs if log["event"] == "shadow failed"]
        assert (told["alias"], told["error"]) == (SECOND, "it crashed")
        failed = json.loads(get(bucket, ShadowKey("a.csv", event.generation, SECOND).comparison))
        assert (failed["staging"], failed["failed"]) == ("tiny version 3", "it crashed")
        assert {log["alias"] for log in logs if log["event"] == "shadow compared"} == {STAGING, THIRD}
        assert bucket.stat(Key("a.csv", event.generation).receipt)

    def test_a_slow_one_keeps_neither_the_others_nor_production_and_its_messages_are_held(self, bucket, start, pools):
        pools[SECOND] = Silent(bucket)
        worker = start()
        events = [dropped(bucket, f"{n}.csv", survey(3)) for n in range(3)]
        worker.queue.publish([event.to_message() for event in events])

        for _ in events:
            worker.handler.handle(worker.take())

        keys = [ShadowKey(event.name, event.generation, alias) for event in events for alias in ("", THIRD)]
        wait_for(lambda: all(bucket.stat(key.comparison) for key in keys))
        assert worker.line.standing()[SECOND][0] == 3
        assert len(worker.queue) == 3
        pools[SECOND].going.set()
        wait_for(lambda: len(worker.queue) == 0)
        assert len(contents(bucket, COMPARISONS_OF)) == 6

    def test_where_too_many_wait_for_one_only_that_one_is_skipped(self, bucket, start, pools):
        pools[SECOND] = Silent(bucket)
        worker = start(shadow_backlog=1)
        events = [dropped(bucket, f"{n}.csv", survey(3)) for n in range(2)]

        for event in events:
            worker.queue.publish([event.to_message()])
            worker.handler.handle(worker.take())
            wait_for(lambda: worker.line.standing()[STAGING][0] == worker.line.standing()[THIRD][0] == 0)

        second, third = (ShadowKey("1.csv", events[1].generation, alias) for alias in (SECOND, THIRD))
        assert "skipped: 1 files were waiting" in json.loads(get(bucket, second.comparison))["failed"]
        assert staging_of(bucket, third) == "4"
        pools[SECOND].going.set()
        wait_for(lambda: len(worker.queue) == 0)


class TestAgain:
    def test_a_redelivery_runs_only_those_that_no_record_tells_of(self, bucket, start, pools, in_force):
        # given a worker that died after the first of three shadows
        first = start()
        first.follower.in_force = InForce(in_force.production, in_force.staging)
        event = dropped(bucket, "a.csv", survey(5))
        first.queue.publish([event.to_message()])
        first.handle()
        wait_for(lambda: len(first.queue) == 0)
        before = get(bucket, Key("a.csv", event.generation).comparison)

        # when the message comes again, twice, to others
        for _ in range(2):
            second = start()
            second.queue.publish([event.to_message()])
            second.handle()
            wait_for(lambda: len(second.queue) == 0)  # noqa: B023

        # then each has run once, and what stood stands
        assert [len(pool.tasks) for pool in pools.values()] == [1, 1, 1]
        assert get(bucket, Key("a.csv", event.generation).comparison) == before

    def test_at_the_end_a_message_is_given_back_where_one_of_its_shadows_has_not_run(self, bucket, start, pools):
        # given one challenger that is done with a file, and one in the middle of it
        pools[SECOND] = Silent(bucket)
        worker = start()
        event = dropped(bucket, "a.csv", survey(5))
        worker.queue.publish([event.to_message()])
        worker.handler.handle(worker.take())
        assert pools[SECOND].begun.wait(PATIENCE)
        wait_for(lambda: len(contents(bucket, COMPARISONS_OF)) == 1)

        worker.line.drain(time.monotonic() + 0.1, pools[SECOND].kill)

        # then it comes again, and the next worker does what is missing
        assert worker.queue.backlog().waiting == 1
        assert not bucket.stat(ShadowKey("a.csv", event.generation, SECOND).comparison)
        pools[SECOND] = Here(bucket)
        other = start()
        other.handle()
        wait_for(lambda: len(other.queue) == 0)
        assert staging_of(bucket, ShadowKey("a.csv", event.generation, SECOND)) == "3"
        assert [len(pools[alias].tasks) for alias in (STAGING, SECOND, THIRD)] == [1, 1, 1]


@pytest.fixture
def uri(tmp_path):
    address = new_registry(tmp_path)
    for number in "1234":
        register(address, tmp_path / number, good_files(float(number)))
    return address


class TestFollowing:
    @pytest.fixture
    def world(self, tmp_path):
        (tmp_path / "world").mkdir()
        made = World(new_registry(tmp_path / "world"), tmp_path / "world", aliases=(PRODUCTION, STAGING, SECOND))
        yield made
        made.follower.stop()

    def test_each_alias_is_followed_and_one_that_is_refused_affects_no_other(self, world):
        first, second, third, fourth = (world.register(weight=weight) for weight in (1.0, 2.0, 3.0, 4.0))
        world.unfit = {third}
        for alias, version in ((PRODUCTION, first), (STAGING, second), (SECOND, third)):
            world.move(alias, version)

        assert sorted(world.look()) == [
            ("version in force", PRODUCTION, first),
            ("version in force", STAGING, second),
            ("version refused", SECOND, third),
        ]
        assert list(world.follower.refused) == [SECOND]

        # when its alias moves to a better one, and is removed
        world.move(SECOND, fourth)
        assert world.look() == [("version in force", SECOND, fourth)]
        assert {alias: v.spec.version for alias, v in world.follower.in_force.shadows.items()} == {
            STAGING: second,
            SECOND: fourth,
        }
        world.client.delete_registered_model_alias(MODEL, SECOND)
        assert world.look() == [("no staging version", SECOND, None)]
        assert list(world.follower.in_force.shadows) == [STAGING]

    def test_an_alias_beyond_is_told_once_as_long_as_it_stands(self, world):
        world.move(PRODUCTION, world.register())
        world.look()
        world.move(THIRD, world.register())

        [told] = world.logs_of_a_look()
        assert (told["event"], told["alias"]) == ("alias not followed", THIRD)
        assert told["todo"] == "start the workers with --shadow-versions 3 or more"
        assert world.look() == []
        world.client.delete_registered_model_alias(MODEL, THIRD)
        assert world.look() == []
        world.move(THIRD, "1")
        assert world.look() == [("alias not followed", THIRD, None)]

    def test_a_worker_that_starts_while_the_registry_is_away_has_all_that_served(self, world, monkeypatch):
        versions = [world.register(weight=weight) for weight in (1.0, 2.0, 3.0)]
        for alias, version in zip((PRODUCTION, STAGING, SECOND), versions, strict=True):
            world.move(alias, version)
        world.look()

        monkeypatch.setattr(Registry, "aliases", away)
        world.restart()
        world.follower.start()
        world.follower.wait_for_production(threading.Event())

        assert [version.spec.version for version in world.follower.in_force.by_alias.values()] == versions


def away(_registry):
    raise RegistryUnreachable("it is away")


class TestCommands:
    @pytest.fixture
    def run(self, uri, monkeypatch):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        return lambda *arguments: main("models", "", {**listing.COMMANDS, **moving.COMMANDS}, arguments=arguments)

    def test_a_version_is_staged_under_an_alias_and_promoted_by_it(self, run, uri, capsys):
        assert [run("promote", "1"), run("stage", "2"), run("stage", "3", "--as", SECOND)] == [0, 0, 0]
        assert "staging-2 moved to version 3" in capsys.readouterr().out
        assert Registry(uri, MODEL).aliases() == {PRODUCTION: "1", STAGING: "2", SECOND: "3"}

        assert run("list", "--json") == 0
        assert [row["aliases"] for row in json.loads(capsys.readouterr().out)] == [
            [PRODUCTION],
            [STAGING],
            [SECOND],
            [],
        ]

        assert run("promote", SECOND) == 0
        assert run("rollback") == 0
        assert run("swap") == 0
        assert Registry(uri, MODEL).aliases() == {PRODUCTION: "2", STAGING: "1", SECOND: "3"}

    @pytest.mark.parametrize("alias", ["production", "staging-1", "staging-10", "Staging-2", "canary", ""])
    def test_another_alias_is_refused_with_those_there_may_be(self, run, uri, capsys, alias):
        assert run("stage", "2", "--as", alias) == 1

        assert "no challenger's alias; these are: staging, staging-2 … staging-9" in capsys.readouterr().err
        assert Registry(uri, MODEL).aliases() == {}

    def test_an_alias_that_no_version_has_is_told_with_those_that_stand(self, run, capsys):
        assert [run("promote", "1"), run("promote", SECOND)] == [0, 1]
        assert "no version is staging-2; `python -m models stage VERSION`" in capsys.readouterr().err
        assert [run("stage", "2"), run("promote", SECOND)] == [0, 1]
        assert "no version is staging-2; there is staging (version 2)" in capsys.readouterr().err
