"""Following the registry: what the aliases say is put in force, as far as it can serve; else what serves goes on."""

from __future__ import annotations

import json
import pickle
import threading
import warnings

import pytest
from structlog.testing import capture_logs

from deploy.waiting import SECONDS, wait_for
from models.registry.client import PRODUCTION, STAGING, Registry, RegistryUnreachable
from models.registry.description.read import read_spec
from models.registry.spec import GRAPH_FILE, SPEC_FILE, UnfitModel
from tests.unit.registered import MODEL, good_files, graph, mlmodel, new_registry, pins, register
from tests.worker_fixtures import Call, imported
from transport.buckets.folder.bucket import FolderBucket
from worker.processes.pool import Pool
from worker.processes.process import Abandoned
from worker.processes.scoring_process import load
from worker.versions.follow import Follower
from worker.versions.swap import InForce
from worker.versions.trial import Trial, TriedPool

PATIENCE = SECONDS


@pytest.fixture
def uri(tmp_path):
    return new_registry(tmp_path)


class World:
    """A registry to register and move aliases in, and a follower whose loading is counted, unless it gets pools."""

    def __init__(self, uri, folder, servers=None, poll_seconds=0.01, aliases=(PRODUCTION, STAGING)):
        self.uri, self.folder = uri, folder
        self.client = Registry(uri, MODEL).client
        self.prepared = []
        self.unfit = set()
        self.serving = {}
        self.slow = {}
        self.servers = servers or {alias: Counted(self, alias) for alias in aliases}
        self.poll_seconds = poll_seconds
        self.restart()

    def restart(self):
        """A new follower, as of a worker that starts with what the cache holds."""
        self.recorded = []
        self.follower = Follower(
            Registry(self.uri, MODEL), self.folder / "cache", self.servers, self.poll_seconds, self.recorded.append
        )

    def register(self, files=None, *, weight=1.0, tags=None):
        number = len(list(self.folder.glob("artefact-*")))
        return register(self.uri, self.folder / f"artefact-{number}", files or good_files(weight), tags=tags)

    def move(self, alias, version):
        self.client.set_registered_model_alias(MODEL, alias, version)

    def logs_of_a_look(self):
        with capture_logs() as logs:
            self.follower.look()
            assert self.follower.wait_until_still(PATIENCE)
        return sorted(logs, key=lambda log: log.get("alias") or "")

    def look(self):
        return [(log["event"], log.get("alias"), log.get("version")) for log in self.logs_of_a_look()]

    @property
    def versions(self):
        now = self.follower.in_force
        return tuple(version and version.spec.version for version in (now.production, now.staging))


class Counted:
    """Processes that are none; what they are asked to load is written down."""

    def __init__(self, world, alias):
        self.world, self.alias = world, alias

    def read(self, mlmodel, name, version):
        return read_spec(mlmodel, name, version)

    def prepare(self, version, abandoned):
        self.world.prepared.append((self.alias, version.spec.version))
        if version.spec.version in self.world.slow:
            loaded = self.world.slow[version.spec.version]
            wait_for(lambda: abandoned.is_set() or loaded.is_set(), seconds=PATIENCE)
            if abandoned.is_set():
                raise Abandoned
        if version.spec.version in self.world.unfit:
            raise UnfitModel(f"{version.spec} was not meant to be")
        return version

    def serve(self, version):
        self.world.serving[self.alias] = version and version.spec.version


@pytest.fixture
def world(uri, tmp_path):
    made = World(uri, tmp_path)
    yield made
    made.follower.stop()


class TestSwaps:
    def test_both_versions_are_fetched_prepared_and_put_in_force(self, world):
        first, second = world.register(), world.register(weight=2.0)
        world.move(PRODUCTION, first)
        world.move(STAGING, second)

        assert sorted(world.look()) == [("version in force", PRODUCTION, first), ("version in force", STAGING, second)]

        assert world.versions == (first, second)
        assert sorted(world.prepared) == [(PRODUCTION, first), (STAGING, second)]
        assert world.follower.in_force.shadows[STAGING].spec.version == second
        assert world.follower.in_force.production.graph.read_bytes() == graph(1.0)

    def test_a_look_at_what_has_not_moved_does_nothing(self, world):
        world.move(PRODUCTION, world.register())
        world.look()

        assert world.look() == []
        assert len(world.prepared) == 1

    def test_a_moved_alias_swaps_and_another_swaps_back(self, world):
        first, second = world.register(), world.register(weight=2.0)
        world.move(PRODUCTION, first)
        world.move(STAGING, second)
        world.look()

        world.move(PRODUCTION, second)
        world.move(STAGING, first)
        world.look()
        assert world.versions == (second, first)

        world.move(PRODUCTION, first)
        world.look()
        assert world.versions == (first, first)

    def test_the_old_version_serves_until_the_new_one_is_ready(self, world):
        # Given a version whose loading takes as long as we like
        first, second = world.register(), world.register(weight=2.0)
        world.move(PRODUCTION, first)
        world.look()
        world.slow = {second: threading.Event()}
        world.move(PRODUCTION, second)

        # While it loads, the old one is in force, however often the registry is looked at; once it is loaded, the new
        for _ in range(3):
            world.follower.look()
        wait_for(lambda: (PRODUCTION, second) in world.prepared)
        assert world.versions == (first, None)
        world.slow[second].set()
        assert world.follower.wait_until_still(PATIENCE)
        assert world.versions == (second, None)
        assert world.serving == {PRODUCTION: second}
        assert world.prepared == [(PRODUCTION, first), (PRODUCTION, second)]

    @pytest.mark.parametrize("then", ["back", "on"])
    def test_a_version_whose_alias_moves_while_it_loads_never_serves(self, world, then):
        # Given a version that loads
        first, second, third = (world.register(weight=weight) for weight in (1.0, 2.0, 3.0))
        world.move(PRODUCTION, first)
        world.look()
        world.slow = {second: threading.Event()}
        world.move(PRODUCTION, second)
        world.follower.look()
        wait_for(lambda: (PRODUCTION, second) in world.prepared)

        # When the alias goes elsewhere, nothing waits for it
        wanted = first if then == "back" else third
        world.move(PRODUCTION, wanted)
        told = world.look()
        assert told[0] == ("version abandoned", PRODUCTION, second)
        assert world.versions == (wanted, None)

        # and once it is loaded, it is too late
        world.slow[second].set()
        assert world.look() == []
        assert world.versions == (wanted, None)

    def test_a_staging_version_that_takes_its_time_does_not_hold_up_production(self, world):
        first, second, third = (world.register(weight=weight) for weight in (1.0, 2.0, 3.0))
        world.move(PRODUCTION, first)
        world.look()
        world.slow = {third: threading.Event()}
        world.move(STAGING, third)
        world.follower.look()
        wait_for(lambda: (STAGING, third) in world.prepared)

        world.move(PRODUCTION, second)
        world.follower.look()
        wait_for(lambda: world.versions == (second, None))

        world.slow[third].set()
        assert world.follower.wait_until_still(PATIENCE)
        assert world.versions == (second, third)

    def test_what_reads_like_a_hang_holds_up_nobody(self, world, monkeypatch):
        # Given a store that sends half a version and then nothing
        first, second = world.register(), world.register(weight=2.0)
        world.move(PRODUCTION, first)
        world.look()
        hangs, never = threading.Event(), threading.Event()
        fetch = world.follower._registry.fetch

        def hang(version, into, *read):
            if version == second:
                hangs.set()
                never.wait(PATIENCE)
            return fetch(version, into, *read)

        monkeypatch.setattr(world.follower._registry, "fetch", hang)
        world.move(PRODUCTION, second)
        world.follower.look()
        assert hangs.wait(PATIENCE)

        # Then looking goes on, another version can be had, and so can an end
        world.move(PRODUCTION, world.register(weight=3.0))
        world.look()
        assert world.versions == ("3", None)
        assert world.follower.stop(0.1) is False
        never.set()

    def test_production_and_staging_of_one_version_leave_nothing_to_compare(self, world):
        only = world.register()
        world.move(PRODUCTION, only)
        world.move(STAGING, only)

        world.look()

        assert world.versions == (only, only)
        assert world.follower.in_force.shadows == {}

    def test_a_staging_alias_that_is_removed_ends_the_shadow(self, world):
        world.move(PRODUCTION, world.register())
        world.move(STAGING, world.register(weight=2.0))
        world.look()

        world.client.delete_registered_model_alias(MODEL, STAGING)

        assert world.look() == [("no staging version", STAGING, None)]
        assert world.versions == ("1", None)
        assert world.look() == []

    def test_a_production_alias_that_is_removed_leaves_production_as_it_is(self, world):
        world.move(PRODUCTION, world.register())
        world.look()

        world.client.delete_registered_model_alias(MODEL, PRODUCTION)

        assert world.look() == [("alias removed", PRODUCTION, None)]
        assert world.versions == ("1", None)


class TestRefusals:
    def test_a_version_that_fails_to_load_is_told_and_the_one_before_goes_on(self, world):
        good, bad = world.register(), world.register(weight=2.0)
        world.move(PRODUCTION, good)
        world.look()
        world.unfit = {bad}
        world.move(PRODUCTION, bad)

        [told] = world.logs_of_a_look()

        assert world.versions == (good, None)
        assert (told["event"], told["log_level"], told["version"]) == ("version refused", "error", bad)
        assert "was not meant to be" in told["error"]
        assert told["consequence"] == f"{MODEL} version {good} goes on serving"
        assert world.follower.refused[PRODUCTION].version == bad
        assert world.follower.refused[PRODUCTION].reason == told["error"]

    def test_it_is_not_tried_again_until_the_alias_has_moved(self, world):
        good, bad = world.register(), world.register(weight=2.0)
        world.move(PRODUCTION, good)
        world.look()
        world.unfit = {bad}
        world.move(PRODUCTION, bad)
        world.look()
        tried = len(world.prepared)

        # Even if it would load now
        world.unfit = set()
        assert [world.look() for _ in range(3)] == [[], [], []]
        assert len(world.prepared) == tried

        # When the alias goes elsewhere and comes back, it has its chance
        world.move(PRODUCTION, good)
        world.look()
        world.move(PRODUCTION, bad)
        world.look()
        assert world.versions == (bad, None)
        assert world.follower.refused == {}

    def test_it_has_its_chance_too_when_the_alias_was_removed_and_is_back(self, world):
        good, bad = world.register(), world.register(weight=2.0)
        world.move(PRODUCTION, good)
        world.look()
        world.unfit = {bad}
        world.move(PRODUCTION, bad)
        world.look()

        world.client.delete_registered_model_alias(MODEL, PRODUCTION)
        world.look()
        world.unfit = set()
        world.move(PRODUCTION, bad)
        world.look()

        assert world.versions == (bad, None)

    def test_a_refused_staging_version_leaves_production_and_the_old_shadow_alone(self, world):
        first, second, bad = world.register(), world.register(weight=2.0), world.register(weight=3.0)
        world.move(PRODUCTION, first)
        world.move(STAGING, second)
        world.look()
        world.unfit = {bad}
        world.move(STAGING, bad)

        assert world.look() == [("version refused", STAGING, bad)]

        assert world.versions == (first, second)

    def test_a_refusal_is_handed_on_to_be_recorded_until_its_alias_serves(self, world):
        first = world.register()
        world.move(PRODUCTION, first)
        world.follower.start()
        wait_for(lambda: world.recorded[-1:] == [{PRODUCTION: None, STAGING: None}], seconds=PATIENCE)
        bad = world.register(weight=2.0)
        world.unfit.add(bad)
        world.move(PRODUCTION, bad)
        wait_for(lambda: getattr(world.recorded[-1].get(PRODUCTION), "version", None) == bad, seconds=PATIENCE)
        world.move(PRODUCTION, first)
        wait_for(lambda: world.recorded[-1] == {PRODUCTION: None, STAGING: None}, seconds=PATIENCE)

    def test_a_refused_version_that_is_no_longer_the_alias_s_is_forgotten(self, world):
        good, bad = world.register(), world.register(weight=2.0)
        world.unfit = {bad}
        world.move(PRODUCTION, bad)
        world.look()
        assert world.versions == (None, None)

        world.move(PRODUCTION, good)
        world.look()

        assert world.versions == (good, None)


class TestTheRegistryAway:
    def test_what_serves_goes_on_and_it_is_said_once(self, world, tmp_path):
        # Given a registry that goes away, and comes back with another version in production
        first, second = world.register(), world.register(weight=2.0)
        world.move(PRODUCTION, first)
        world.look()
        world.move(PRODUCTION, second)
        away = tmp_path / "away.db"
        (tmp_path / "mlflow.db").rename(away)
        world.follower._registry.__dict__.pop("client")

        assert world.look() == [("registry unreachable", None, None)]
        assert world.look() == []
        assert world.versions == (first, None)

        # When it is back
        away.rename(tmp_path / "mlflow.db")
        assert world.look() == [("registry reachable again", None, None), ("version in force", PRODUCTION, second)]

    def test_an_answer_that_fails_in_the_middle_of_a_swap_leaves_all_as_it_was(self, world, monkeypatch):
        from models.registry.client import RegistryUnreachable

        world.move(PRODUCTION, world.register())
        world.look()
        world.move(PRODUCTION, world.register(weight=2.0))

        def failing(version, into, *read):
            raise RegistryUnreachable("503")

        monkeypatch.setattr(world.follower._registry, "fetch", failing)

        # it is said once, and tried at every look
        assert [world.look() for _ in range(3)] == [[("version not fetched", PRODUCTION, "2")], [], []]
        assert world.versions == ("1", None)
        monkeypatch.undo()
        assert world.look() == [("version in force", PRODUCTION, "2")]

    def test_stages_stand_for_aliases_where_there_are_none_and_it_is_said_once(self, world):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # MLflow calls them deprecated
            world.client.transition_model_version_stage(MODEL, world.register(), "Production")
            world.client.transition_model_version_stage(MODEL, world.register(weight=2.0), "Staging")

        told = world.look()

        assert ("model has no aliases", None, None) in told
        assert world.versions == ("1", "2")
        assert world.look() == []

    def test_files_that_cannot_be_fetched_now_are_asked_for_again(self, world, monkeypatch):
        from models.registry.client import RegistryUnreachable

        world.move(PRODUCTION, world.register())
        fetch = world.follower._registry.fetch
        failures = iter([RegistryUnreachable("the artefact store is away")])

        def failing(version, into, *read):
            for failure in failures:
                raise failure
            return fetch(version, into, *read)

        monkeypatch.setattr(world.follower._registry, "fetch", failing)

        assert world.look() == [("version not fetched", PRODUCTION, "1")]
        assert world.look() == [("version in force", PRODUCTION, "1")]

    def test_a_version_whose_files_come_later_is_in_force_then(self, world):
        # Given a version in production whose graph is still being copied
        world.move(PRODUCTION, world.register())
        [graph_file] = world.folder.glob(f"artefact-*/{GRAPH_FILE}")
        later = graph_file.rename(graph_file.with_suffix(".part"))
        assert [world.look() for _ in range(2)] == [[("version not fetched", PRODUCTION, "1")], []]
        # When it is there
        later.rename(graph_file)
        # Then the next look takes it
        assert world.look() == [("version in force", PRODUCTION, "1")]

    def test_files_that_the_cache_loses_before_they_are_loaded_are_fetched_again(self, world, monkeypatch):
        world.move(PRODUCTION, world.register())

        def losing(version, abandoned):
            monkeypatch.undo()
            version.graph.unlink()
            load(version)

        monkeypatch.setattr(world.servers[PRODUCTION], "prepare", losing)

        assert world.look() == [("version not fetched", PRODUCTION, "1")]
        assert world.follower.refused == {}
        assert world.look() == [("version in force", PRODUCTION, "1")]

    def test_files_that_the_cache_lost_of_what_serves_are_there_again_for_the_next_version(self, world):
        # Given a version in force whose graph the cache has lost: a process that starts again could not load it
        world.move(PRODUCTION, world.register())
        world.look()
        before = world.follower.in_force.production
        before.graph.unlink()
        # When another is to be loaded beside it
        world.move(PRODUCTION, world.register(weight=2.0))
        world.look()
        # Then it is fetched again first
        assert before.lies_there
        assert world.versions == ("2", None)

    def test_whatever_a_look_comes_to_the_next_one_is_made(self, world, monkeypatch):
        # Given a registry that raises what nobody has foreseen, once
        world.move(PRODUCTION, world.register())
        aliases = world.follower._registry.aliases
        failures = iter([RuntimeError("nobody has foreseen this")])

        def failing():
            for failure in failures:
                raise failure
            return aliases()

        monkeypatch.setattr(world.follower._registry, "aliases", failing)

        with capture_logs() as logs:
            world.follower.start()
            wait_for(lambda: world.versions == ("1", None))
        world.follower.stop()
        assert logs[0]["event"] == "look at the registry failed"


class TestAtTheStart:
    def test_a_worker_waits_for_a_production_version(self, world):
        # Given no version in production
        version = world.register()
        stopping, told = threading.Event(), []

        with capture_logs() as logs:
            world.follower.start()
            waiting = threading.Thread(target=world.follower.wait_for_production, args=(stopping,), daemon=True)
            waiting.start()
            wait_for(lambda: logs)
            told.extend(logs)

            # When one is promoted
            world.move(PRODUCTION, version)

            # Then it goes on
            waiting.join(PATIENCE)
        assert not waiting.is_alive()
        assert world.versions == (version, None)
        assert told[0]["event"] == "waiting for a production version"
        assert "python -m models promote VERSION`, of version" in told[0]["todo"]
        assert told[0]["reason"] == "no version of the model has the alias 'production'"
        world.follower.stop()

    def waits_in_vain_for_staging(self, world, monkeypatch):
        """Whether a worker still waits, by its thread; production serves and staging does not come."""
        import worker.versions.follow

        monkeypatch.setattr(worker.versions.follow, "START_PATIENCE", 3600.0)
        world.follower.start()
        waiting = threading.Thread(target=world.follower.wait_for_production, args=(threading.Event(),), daemon=True)
        waiting.start()
        wait_for(lambda: world.versions[0] is not None, seconds=PATIENCE)
        waiting.join(0.3)
        assert waiting.is_alive(), "it did not wait for its staging version"
        monkeypatch.setattr(worker.versions.follow, "START_PATIENCE", 0.0)
        waiting.join(PATIENCE)
        return waiting.is_alive()

    def test_a_staging_version_that_loads_is_waited_for_only_so_long(self, world, monkeypatch):
        first, second = world.register(), world.register(weight=2.0)
        world.move(PRODUCTION, first)
        world.move(STAGING, second)
        world.slow = {second: threading.Event()}

        assert not self.waits_in_vain_for_staging(world, monkeypatch)
        assert world.versions == (first, None)
        world.slow[second].set()

    def test_a_staging_version_that_cannot_be_fetched_now_is_waited_for_too(self, world, monkeypatch):
        first, second = world.register(), world.register(weight=2.0)
        world.move(PRODUCTION, first)
        world.move(STAGING, second)
        fetch = Registry.fetch

        def lacking(registry, version, cache, *read):
            if version == second:
                raise RegistryUnreachable("the artefacts are away")
            return fetch(registry, version, cache, *read)

        monkeypatch.setattr(Registry, "fetch", lacking)
        with capture_logs() as logs:
            assert not self.waits_in_vain_for_staging(world, monkeypatch)
            assert world.versions == (first, None)
        assert ("version not fetched", STAGING) in [(log["event"], log.get("alias")) for log in logs]

    def test_it_can_be_told_to_stop_waiting(self, world):
        stopping = threading.Event()
        world.follower.start()
        waiting = threading.Thread(target=world.follower.wait_for_production, args=(stopping,), daemon=True)
        waiting.start()

        stopping.set()
        world.follower.stop()

        waiting.join(PATIENCE)
        assert not waiting.is_alive()
        assert world.follower.in_force == InForce()

    def test_a_version_whose_files_the_cache_lost_is_brought_back(self, world):
        world.move(PRODUCTION, world.register())
        world.look()
        version = world.follower.in_force.production
        version.graph.unlink()

        world.follower.repair(version)

        assert version.graph.read_bytes() == graph(1.0)

    def test_a_repair_that_fails_is_told_and_no_more(self, world):
        world.move(PRODUCTION, world.register())
        world.look()
        version = world.follower.in_force.production
        version.graph.unlink()
        for path in world.folder.glob("artefact-*/*"):
            path.unlink()

        with capture_logs() as logs:
            world.follower.repair(version)

        assert [log["event"] for log in logs] == ["model cache not repaired"]


class TestTheCacheAtTheStart:
    def start(self, world):
        """What a follower that starts says until it has a production version."""
        world.restart()
        with capture_logs() as logs:
            world.follower.start()
            world.follower.wait_for_production(threading.Event())
            world.follower.stop()
        return logs

    def two_in_force(self, world):
        first, second = world.register(), world.register(weight=2.0)
        world.move(PRODUCTION, first)
        world.move(STAGING, second)
        world.look()

    def test_without_its_registry_it_starts_with_what_served_last_and_says_so(self, world, tmp_path):
        self.two_in_force(world)
        (tmp_path / "mlflow.db").unlink()

        logs = self.start(world)

        assert world.versions == ("1", "2")
        told = [(log["event"], log.get("alias"), log.get("version")) for log in logs]
        assert told[0] == ("registry unreachable", None, None)
        assert told.count(("starting from the cache", PRODUCTION, "1")) == 1
        assert told.count(("starting from the cache", STAGING, "2")) == 1

    def test_where_the_version_that_is_wanted_is_refused_the_last_good_one_serves(self, world):
        self.two_in_force(world)
        bad = world.register(weight=3.0)
        world.unfit = {bad}
        world.move(PRODUCTION, bad)

        logs = self.start(world)

        assert world.versions[0] == "1"
        [cached] = [log for log in logs if log["event"] == "starting from the cache"]
        assert "version 3 was refused" in cached["reason"]

    def test_a_registry_that_hangs_is_waited_for_only_so_long(self, world, monkeypatch):
        import worker.versions.follow

        self.two_in_force(world)
        monkeypatch.setattr(worker.versions.follow, "START_PATIENCE", 0.2)
        never = threading.Event()
        monkeypatch.setattr(Registry, "aliases", lambda _registry: never.wait(PATIENCE) and {})

        self.start(world)

        assert world.versions[0] == "1"
        never.set()

    def test_a_registry_that_hangs_and_turns_out_to_be_away_costs_no_shadow(self, world, monkeypatch):
        import worker.versions.follow

        self.two_in_force(world)
        monkeypatch.setattr(worker.versions.follow, "START_PATIENCE", 0.2)
        hangs = threading.Event()

        def hang(_registry):
            hangs.wait(PATIENCE)
            raise RegistryUnreachable("it does not answer")

        monkeypatch.setattr(Registry, "aliases", hang)
        world.restart()
        world.follower.start()
        world.follower.wait_for_production(threading.Event())
        assert world.versions == ("1", None)

        # When it is known to be away, then the last good staging version has its part too
        hangs.set()
        wait_for(lambda: world.versions == ("1", "2"))
        world.follower.stop()

    def test_files_that_never_come_are_waited_for_only_so_long_and_then_followed(self, world, monkeypatch):
        import worker.versions.follow

        # Given another version in production, whose files hang
        self.two_in_force(world)
        monkeypatch.setattr(worker.versions.follow, "START_PATIENCE", 0.2)
        never, fetch = threading.Event(), Registry.fetch
        world.move(PRODUCTION, world.register(weight=3.0))
        monkeypatch.setattr(Registry, "fetch", lambda *given: (never.wait(PATIENCE), fetch(*given))[1])

        # Then the last good one serves
        world.restart()
        world.follower.start()
        world.follower.wait_for_production(threading.Event())
        assert world.versions[0] == "1"

        # until they come
        never.set()
        wait_for(lambda: world.versions == ("3", "2"))
        world.follower.stop()

    @pytest.mark.parametrize("what", [SPEC_FILE, GRAPH_FILE])
    def test_files_that_changed_meanwhile_do_not_serve(self, world, tmp_path, what):
        self.two_in_force(world)
        path = world.follower.in_force.production.graph.parent / what
        path.write_bytes(path.read_bytes() + b" ")
        (tmp_path / "mlflow.db").unlink()
        world.restart()

        with capture_logs() as logs:
            world.follower.start()
            wait_for(lambda: [log for log in logs if log["event"] == "waiting for a production version"])
            world.follower.stop()

        assert world.versions == (None, None)
        [told] = [log for log in logs if log["event"] == "last good version unusable"]
        assert "have changed" in told["error"]

    def test_a_registry_that_says_there_is_none_is_believed(self, world):
        self.two_in_force(world)
        world.client.delete_registered_model_alias(MODEL, PRODUCTION)
        world.restart()

        with capture_logs() as logs:
            world.follower.start()
            wait_for(lambda: [log for log in logs if log["event"] == "waiting for a production version"])
            world.follower.stop()

        assert world.versions[0] is None

    def test_staging_that_was_given_up_is_not_taken_up_from_the_cache(self, world, tmp_path):
        self.two_in_force(world)
        world.client.delete_registered_model_alias(MODEL, STAGING)
        world.look()
        (tmp_path / "mlflow.db").unlink()

        self.start(world)

        assert world.versions == ("1", None)


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    bucket = FolderBucket(str(tmp_path_factory.mktemp("bucket")))
    made = {PRODUCTION: Pool(1, bucket.url, log_level="error"), STAGING: Pool(1, bucket.url, log_level="error")}
    yield made
    for pool in made.values():
        pool.kill()


@pytest.fixture
def planted(tmp_path):
    """The file that planted code would make; a test that uses it fails if it exists in the end."""
    mark = tmp_path / "planted code ran"
    yield mark
    assert not mark.exists()


class Bomb:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return exec, (f"open({str(self.mark)!r}, 'w').close()",)


def pickle_version(world, mark):
    flavors = {"sklearn": {"pickled_model": "model.pkl"}, "python_function": {"loader_module": "mlflow.sklearn"}}
    bomb = pickle.dumps(Bomb(mark))
    return world.register({SPEC_FILE: mlmodel(flavors=flavors), "model.pkl": bomb, GRAPH_FILE: bomb})


def pickle_called_onnx(world, mark):
    return world.register({SPEC_FILE: mlmodel(), GRAPH_FILE: pickle.dumps(Bomb(mark))})


def loader_module_with_code(world, mark):
    evil = {"python_function": {"loader_module": "evil", "code": "code", "env": "conda.yaml"}}
    code = f"open({str(mark)!r}, 'w').close()\n".encode()
    return world.register({SPEC_FILE: mlmodel(flavors=evil), GRAPH_FILE: graph(), "code/evil.py": code})


def yaml_that_builds_objects(world, mark):
    code = json.dumps(f"open({str(mark)!r}, 'w').close()")
    return world.register({SPEC_FILE: f"flavors: !!python/object/apply:builtins.exec [{code}]".encode()})


def changed_bytes(world, _mark):
    return world.register({SPEC_FILE: mlmodel(), GRAPH_FILE: graph(-1.0)}, tags=pins(good_files()))


def changed_metadata(world, _mark):
    return world.register({SPEC_FILE: mlmodel(run_id="another"), GRAPH_FILE: graph()}, tags=pins(good_files()))


def no_tags(world, _mark):
    return world.register(tags={"a": "b"})


def external_data_that_climbs(world, _mark):
    # The weights lie where the path would lead from the cache, so that only a refusal keeps it from loading
    (world.folder / "weights").write_bytes(b"\0\0\0\0\0\0\xf0?")
    return world.register({SPEC_FILE: mlmodel(), GRAPH_FILE: graph(external="../../../weights")})


def external_data_by_an_absolute_path(world, _mark):
    (world.folder / "weights").write_bytes(b"\0\0\0\0\0\0\xf0?")
    return world.register({SPEC_FILE: mlmodel(), GRAPH_FILE: graph(external=str(world.folder / "weights"))})


def another_answer_than_its_example(world, _mark):
    return world.register({SPEC_FILE: mlmodel(), GRAPH_FILE: graph(-1.0)})


def not_onnx_at_all(world, _mark):
    return world.register({SPEC_FILE: mlmodel(), GRAPH_FILE: b"\x08\x09" + b"\xff" * 1000})


@pytest.mark.parametrize("alias", [PRODUCTION, pytest.param(STAGING, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("plant", "reason"),
    [
        (pickle_version, "workers run ONNX only"),
        (pickle_called_onnx, "onnxruntime refuses its graph"),
        (loader_module_with_code, "workers run ONNX only"),
        (yaml_that_builds_objects, "MLmodel"),
        (changed_bytes, "model.onnx was changed after it was registered"),
        (changed_metadata, "MLmodel was changed after it was registered"),
        (no_tags, "has no tag understudy.sha256"),
        (external_data_that_climbs, "onnxruntime refuses its graph"),
        (external_data_by_an_absolute_path, "onnxruntime refuses its graph"),
        (another_answer_than_its_example, "scores its own input example otherwise"),
        (not_onnx_at_all, "onnxruntime refuses its graph"),
    ],
)
def test_a_planted_version_is_refused_and_never_run_and_what_serves_goes_on(
    plant, reason, alias, uri, tmp_path, pools, planted
):
    # Given both versions in force, through the real registry and real scoring processes
    for pool in pools.values():
        pool.serve(None)
    trial = Trial(str(tmp_path / "bucket"), "error")
    world = World(uri, tmp_path, {name: TriedPool(pool, trial) for name, pool in pools.items()})
    first, second = world.register(), world.register(weight=2.0)
    world.move(PRODUCTION, first)
    world.move(STAGING, second)
    world.look()
    assert world.versions == (first, second)

    # When a hostile one takes an alias
    world.move(alias, plant(world, planted))
    [told] = world.logs_of_a_look()

    # Then it is refused with what to do about it, and both versions go on
    assert (told["event"], told["alias"]) == ("version refused", alias)
    assert reason in told["error"]
    assert world.versions == (first, second)
    assert not planted.exists()
    modules = pools[alias].run(Call(imported), PATIENCE)
    assert "evil" not in modules
    assert "mlflow" not in modules
