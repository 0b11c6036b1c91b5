"""Versions come into processes of their own, beside those that serve."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from dataclasses import dataclass, replace

import pytest

from deploy.waiting import wait_for
from models.registry.spec import UnfitModel
from models.scoring.scorer import BLOCK_ROWS, LARGER, SMALLER
from tests.chaos.understudy import scoring_processes
from tests.unit.pool.loaded import PATIENCE, load, loaded
from tests.unit.registered import laughs, mlmodel
from tests.worker_fixtures import SPEC, Hostile, Touch, Until, alive, fetched, slow_to_load, with_example
from worker.processes.pool import Pool
from worker.processes.process import Abandoned, ScorerDied
from worker.processes.scoring_process import NICENESS_OF_LOADING


@pytest.fixture
def children():
    """Whatever processes there are beforehand."""
    return set(multiprocessing.active_children())


@pytest.fixture
def own(bucket):
    """A pool of two processes, once a version serves."""
    pool = Pool(2, bucket.url, log_level="error")
    yield pool
    pool.kill()


@dataclass(frozen=True)
class Blocks:
    """Tells the sizes of the blocks that its process's own version is scored in."""

    def run(self, workshop):
        return workshop._loaded[workshop._own]._block_sizes


def good(folder, name, bias=0.0):
    return fetched(folder, name, bias=bias, spec=with_example(SPEC, bias))


class TestLoading:
    def test_a_version_that_scores_its_example_is_served_by_processes_of_its_own(self, own, tmp_path):
        load(own, good(tmp_path, "a"))
        before = own.pids
        assert len(before) == 2
        assert loaded(own) == ["a"]

        load(own, good(tmp_path, "b", 1.0))

        assert len(own.pids) == 2
        assert not set(own.pids) & set(before)
        assert [loaded(own), loaded(own)] == [["b"], ["b"]]
        assert not any(map(alive, before))

    @pytest.mark.parametrize(
        ("spoil", "reason"),
        [
            (lambda graph: graph.write_bytes(graph.read_bytes() + b"\0"), "have changed"),
            (lambda graph: graph.unlink(), "cannot be read"),
        ],
    )
    def test_changed_bytes_and_a_missing_file_are_refused(self, spoil, reason, own, children, tmp_path):
        version = good(tmp_path, "spoilt")
        spoil(version.graph)

        with pytest.raises(UnfitModel, match=reason):
            load(own, version)

        assert set(multiprocessing.active_children()) <= children

    def test_a_version_without_an_example_is_refused_and_what_serves_goes_on(self, own, tmp_path):
        load(own, good(tmp_path, "good"))
        before = own.pids

        with pytest.raises(UnfitModel, match="has no input example"):
            load(own, fetched(tmp_path, "plain"))

        assert own.pids == before
        assert loaded(own) == ["good"]

    def test_it_is_loaded_while_a_file_is_in_hand_whose_process_ends_with_it(self, own, tmp_path):
        # Given a process that works on something
        load(own, good(tmp_path, "old"))
        before, done, results = own.pids, tmp_path / "done", []
        busy = threading.Thread(target=lambda: results.append(own.run(Until(done), PATIENCE)))
        busy.start()
        wait_for(lambda: own._idle.qsize() == 1)

        # When another version takes over meanwhile
        load(own, good(tmp_path, "new", 1.0))

        # Then the next task is done with that one, and the first goes on to its end
        assert loaded(own) == ["new"]
        assert busy.is_alive()
        [at_work] = filter(alive, before)
        done.touch()
        busy.join(PATIENCE)
        assert results == [None]
        wait_for(lambda: not alive(at_work))
        assert len(own._living) == 2

    def test_a_task_about_another_version_gets_that_one(self, own, tmp_path):
        # Given processes for one version, and a task about another: a shadow that has waited, say
        old, new = good(tmp_path, "old"), good(tmp_path, "new", 1.0)
        pool = Pool(1, own._arguments[0], log_level="error")
        try:
            load(pool, new)
            pool.run(Touch(old), PATIENCE)

            # Then it is loaded beside, until the next task is about the process's own
            assert loaded(pool) == ["new", "old"]
            pool.run(Touch(new), PATIENCE)
            assert loaded(pool) == ["new"]
        finally:
            pool.kill()

    def test_a_process_in_place_of_a_dead_one_has_loaded_what_serves_before_its_first_task(self, own, tmp_path):
        load(own, good(tmp_path, "serves"))

        for _ in range(2):
            with pytest.raises(ScorerDied):
                own.run(Hostile("kills its process"), PATIENCE)

        assert [loaded(own), loaded(own)] == [["serves"], ["serves"]]

    def test_a_process_of_an_old_version_that_dies_over_its_task_is_not_replaced(self, own, tmp_path):
        # Given an old version's process with a task in hand
        load(own, good(tmp_path, "old"))
        before, ended = own.pids, []

        def hang():
            with pytest.raises(ScorerDied):
                own.run(Hostile("sleeps for ever"), PATIENCE)
            ended.append(True)

        busy = threading.Thread(target=hang)
        busy.start()
        wait_for(lambda: own._idle.qsize() == 1)
        load(own, good(tmp_path, "new", 1.0))
        [at_work] = filter(alive, before)

        # When that dies
        os.kill(at_work, signal.SIGKILL)
        busy.join(PATIENCE)

        # Then the new version's processes are all there are
        assert ended == [True]
        wait_for(lambda: len(own._living) == 2)
        assert {process.pid for process in own._living} == set(own.pids)

    def test_an_abandoned_version_is_waited_for_no_longer_and_leaves_no_process(self, own, children, tmp_path):
        abandoned = threading.Event()

        def abandon():
            wait_for(lambda: set(multiprocessing.active_children()) - children)
            abandoned.set()

        abandoning = threading.Thread(target=abandon, daemon=True)
        abandoning.start()
        with pytest.raises(Abandoned):
            own.prepare(slow_to_load(tmp_path, "slow", seconds=60), abandoned)
        abandoning.join(PATIENCE)
        assert set(multiprocessing.active_children()) <= children

    def test_one_that_was_prepared_for_nothing_leaves_no_process(self, own, children, tmp_path):
        tried = own.prepare(good(tmp_path, "late"), threading.Event())
        assert len(set(multiprocessing.active_children()) - children) == 2

        own.drop(tried)

        assert set(multiprocessing.active_children()) <= children

    def test_one_that_serves_is_not_dropped(self, own, tmp_path):
        own.drop(load(own, good(tmp_path, "serves")))

        assert loaded(own) == ["serves"]

    def test_one_that_takes_too_long_is_unfit_and_costs_what_serves_nothing(self, bucket, tmp_path):
        pool = Pool(1, bucket.url, log_level="error", load_seconds=PATIENCE)
        try:
            load(pool, good(tmp_path, "good"))
            before = pool.pids
            pool._load_seconds = 0.3

            with pytest.raises(UnfitModel, match=r"took longer than 0\.3 s to load"):
                load(pool, slow_to_load(tmp_path, "slow", seconds=60))

            assert pool.pids == before
            assert loaded(pool) == ["good"]
        finally:
            pool.kill()

    def test_a_pool_that_has_ended_refuses_nothing(self, own, children, tmp_path):
        own.kill()

        with pytest.raises(Abandoned):
            own.prepare(good(tmp_path, "good"), threading.Event())

        assert set(multiprocessing.active_children()) <= children


class TestTrials:
    def test_what_crashes_its_process_three_times_is_refused_and_comes_near_no_other(self, own, tmp_path):
        # Given a pool that serves a version, and another whose processes are killed
        load(own, good(tmp_path, "good"))
        before = own.pids
        others, killed = set(scoring_processes(os.getpid())), []
        stop = threading.Event()

        def kill_the_new():
            while not stop.wait(0.02):
                for pid in set(scoring_processes(os.getpid())) - {*others, *killed}:
                    killed.append(pid)
                    os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill_the_new, daemon=True)
        killer.start()
        try:
            with pytest.raises(UnfitModel, match=r"was killed by SIGKILL \(out of memory\?\) while it was loaded"):
                own.prepare(good(tmp_path, "bad"), threading.Event())
        finally:
            stop.set()
            killer.join(PATIENCE)
        assert len(killed) >= 3
        assert own.pids == before
        assert loaded(own) == ["good"]

    def test_the_process_that_has_read_a_description_tries_the_version_and_is_gone(self, own, children, tmp_path):
        # Given a process that has read one, behind all that serve
        assert own.read(mlmodel(), "model", "1").classes == ("neutral", "satisfied")
        [reader] = set(multiprocessing.active_children()) - children
        assert os.getpriority(os.PRIO_PROCESS, reader.pid) == NICENESS_OF_LOADING

        # When the version has no example, then that process has told so, and no other was started
        with pytest.raises(UnfitModel, match="has no input example"):
            own.prepare(fetched(tmp_path, "plain"), threading.Event())
        assert set(multiprocessing.active_children()) <= children
        assert not reader.is_alive()

        # And the processes that serve a better one have the usual priority
        own.read(mlmodel(), "model", "2")
        load(own, good(tmp_path, "2"))
        assert len(set(multiprocessing.active_children()) - children) == 2
        assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in own.pids] == [os.getpriority(os.PRIO_PROCESS, 0)] * 2

    def test_a_process_that_has_read_one_for_nothing_ends_with_the_next_reading(self, own, children):
        for _ in range(2):
            own.read(mlmodel(), "model", "1")
            assert len(set(multiprocessing.active_children()) - children) == 1

    def test_a_description_is_refused_in_the_words_of_its_reader_and_leaves_no_process(self, own, children):
        with pytest.raises(UnfitModel, match=r"model version 1: its MLmodel file is not read: line 1 has an anchor"):
            own.read(laughs(), "model", "1")

        assert set(multiprocessing.active_children()) <= children

    def test_the_sizes_of_blocks_are_found_once_and_told_to_the_others(self, own, tmp_path):
        # Given a version whose blocks its trial has found
        tried = load(own, good(tmp_path, "version"))
        assert tried.blocks == (*sorted(SMALLER), BLOCK_ROWS, *LARGER)

        # Then whatever process serves it knows these, and no other
        with pytest.raises(ScorerDied):
            own.run(Hostile("kills its process"), PATIENCE)
        assert [own.run(Blocks(), PATIENCE) for _ in range(2)] == [tried.blocks] * 2

    def test_a_process_that_is_told_its_blocks_tries_none(self, own, tmp_path):
        fewer = replace(good(tmp_path, "fewer"), blocks=(128, 256))

        assert load(own, fewer).blocks == (128, 256)
