"""Versions come into scoring processes beside the files that these have in hand."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from dataclasses import replace

import pytest

from deploy.waiting import wait_for
from models.registry.spec import UnfitModel
from models.scoring.scorer import BLOCK_ROWS, LARGER, SMALLER
from tests.chaos.understudy import scoring_processes
from tests.unit.pool.loaded import PATIENCE, load, loaded
from tests.unit.registered import laughs, mlmodel
from tests.worker_fixtures import SPEC, Call, Hostile, Touch, Until, alive, fetched, slow_to_load, with_example
from worker.processes.pool import Pool
from worker.processes.process import Abandoned, ScorerDied
from worker.versions.trial import Trial, TriedPool


class TestLoading:
    def test_a_version_that_scores_its_example_is_fit(self, pool, tmp_path):
        load(pool, fetched(tmp_path, "fit", spec=with_example(SPEC)))

        assert loaded(pool) == ["fit"]

    def test_changed_bytes_are_refused(self, pool, tmp_path):
        version = fetched(tmp_path, "changed")
        version.graph.write_bytes(version.graph.read_bytes() + b"\0")

        with pytest.raises(UnfitModel, match="have changed"):
            load(pool, version)

    def test_a_missing_file_is_refused(self, pool, tmp_path):
        version = fetched(tmp_path, "missing")
        version.graph.unlink()

        with pytest.raises(UnfitModel, match="cannot be read"):
            load(pool, version)

    def test_a_version_without_an_example_is_refused_and_not_kept(self, pool, tmp_path):
        with pytest.raises(UnfitModel, match="has no input example"):
            load(pool, fetched(tmp_path, "plain"))

        assert "plain" not in loaded(pool)

    def test_it_is_loaded_while_the_process_is_busy(self, pool, tmp_path):
        # Given a process that works on something
        done = tmp_path / "done"
        busy = threading.Thread(target=pool.run, args=(Until(done), PATIENCE))
        busy.start()

        # Then it loads a version meanwhile
        load(pool, fetched(tmp_path, "beside", spec=with_example(SPEC)))
        assert busy.is_alive()

        done.touch()
        busy.join(PATIENCE)
        assert loaded(pool) == ["beside"]

    def test_at_most_two_are_in_memory_and_the_old_one_goes_with_the_first_file_of_the_new(self, bucket, tmp_path):
        versions = [
            fetched(tmp_path, name, bias=bias, spec=with_example(SPEC, bias)) for bias, name in enumerate("abc")
        ]
        pool = Pool(1, bucket.url, log_level="error")
        try:
            for version in versions[:2]:
                load(pool, version)
                assert loaded(pool)[-1:] == [version.spec.version]
                pool.run(Touch(version), PATIENCE)
                pool.serve(version)
                assert loaded(pool) == [version.spec.version]

            # The version that serves is kept beside whichever is loaded next, though that is none that will serve
            load(pool, versions[0])
            load(pool, versions[2])
            assert loaded(pool) == ["b", "c"]
            load(pool, versions[0])
            assert loaded(pool) == ["b", "a"]
        finally:
            pool.kill()

    def test_a_process_that_died_idle_is_replaced_and_loads_what_served_and_what_comes(self, bucket, tmp_path):
        pool = Pool(1, bucket.url, log_level="error")
        try:
            old, new = (fetched(tmp_path, name, spec=with_example(SPEC)) for name in ("old", "new"))
            load(pool, old)
            pool.serve(old)
            [idle] = pool.pids
            os.kill(idle, signal.SIGKILL)
            wait_for(lambda: not alive(idle))

            load(pool, new)

            assert loaded(pool) == ["old", "new"]
        finally:
            pool.kill()

    def test_a_process_in_place_of_a_dead_one_has_loaded_what_serves_before_its_first_task(self, bucket, tmp_path):
        pool = Pool(1, bucket.url, log_level="error")
        try:
            version = fetched(tmp_path, "serves", spec=with_example(SPEC))
            load(pool, version)
            pool.serve(version)

            with pytest.raises(ScorerDied):
                pool.run(Hostile("kills its process"), PATIENCE)

            assert loaded(pool) == ["serves"]
        finally:
            pool.kill()

    def test_an_abandoned_version_is_waited_for_no_longer(self, pool, tmp_path):
        version = fetched(tmp_path, "abandoned", spec=with_example(SPEC))
        abandoned = threading.Event()
        abandoned.set()

        with pytest.raises(Abandoned):
            pool.load(version, abandoned)

        # and the next one's answer is its own
        load(pool, fetched(tmp_path, "next", spec=with_example(SPEC)))
        with pytest.raises(UnfitModel, match="has no input example"):
            load(pool, fetched(tmp_path, "plain"))

    def test_one_that_takes_too_long_is_unfit_and_costs_the_file_in_hand_nothing(self, bucket, tmp_path):
        # Given a process that has a file in hand, and a version that needs seconds to load
        pool = Pool(1, bucket.url, log_level="error", load_seconds=0.3)
        try:
            pool.run(Call(sum, ((1,),)), PATIENCE)
            done, results = tmp_path / "done", []
            busy = threading.Thread(target=lambda: results.append(pool.run(Until(done), PATIENCE)))
            busy.start()
            wait_for(lambda: pool._idle.empty())
            refused = []

            def refuse():
                with pytest.raises(UnfitModel, match=r"took longer than 0\.3 s to load"):
                    load(pool, slow_to_load(tmp_path, "slow", seconds=5))
                refused.append(True)

            loading = threading.Thread(target=refuse, daemon=True)
            loading.start()
            loading.join(1.0)
            assert not refused, "the process was ended under its file"
            done.touch()
            busy.join(PATIENCE)
            loading.join(PATIENCE)
            assert (results, refused) == ([None], [True])
            assert pool.run(Call(sum, ((1,),)), PATIENCE) == 1
        finally:
            pool.kill()


class TestTrials:
    def test_what_crashes_its_process_three_times_is_refused_and_comes_near_no_other(self, bucket, pool, tmp_path):
        # Given a pool that serves a version, and a trial whose processes are killed
        pool.serve(None)
        good = fetched(tmp_path, "good", spec=with_example(SPEC))
        load(pool, good)
        pool.serve(good)
        before = pool.pids
        killed = []
        stop = threading.Event()

        def kill_the_others():
            while not stop.wait(0.02):
                for pid in scoring_processes(os.getpid()):
                    if pid not in [*before, *killed]:
                        killed.append(pid)
                        os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill_the_others, daemon=True)
        killer.start()
        try:
            tried = TriedPool(pool, Trial(bucket.url, "error"))
            bad = fetched(tmp_path, "bad", spec=with_example(SPEC))
            with pytest.raises(UnfitModel, match=r"was killed by SIGKILL \(out of memory\?\) while it was loaded"):
                tried.prepare(bad, threading.Event())
        finally:
            stop.set()
            killer.join(PATIENCE)
        assert len(killed) >= 3
        assert pool.pids == before
        assert loaded(pool) == ["good"]

    def test_an_abandoned_trial_ends_with_its_process(self, bucket, tmp_path):
        abandoned = threading.Event()
        children = set(multiprocessing.active_children())

        def abandon():
            wait_for(lambda: set(multiprocessing.active_children()) - children)
            abandoned.set()

        abandoning = threading.Thread(target=abandon, daemon=True)
        abandoning.start()
        with pytest.raises(Abandoned):
            Trial(bucket.url, "error").hold(slow_to_load(tmp_path, "slow", seconds=60), abandoned)
        abandoning.join(PATIENCE)
        assert set(multiprocessing.active_children()) <= children

    def test_the_process_that_has_read_a_description_tries_the_version_and_is_gone(self, bucket, tmp_path):
        trial, children = Trial(bucket.url, "error"), set(multiprocessing.active_children())
        version = fetched(tmp_path, "1", spec=with_example(SPEC))

        for _ in range(2):  # the second time it has passed already
            assert trial.read(mlmodel(), "model", "1").classes == ("neutral", "satisfied")
            [reader] = set(multiprocessing.active_children()) - children
            trial.hold(version, threading.Event())
            assert set(multiprocessing.active_children()) <= children
            assert not reader.is_alive()

    def test_a_description_is_refused_in_the_words_of_its_reader_and_leaves_no_process(self, bucket):
        trial, children = Trial(bucket.url, "error"), set(multiprocessing.active_children())

        with pytest.raises(UnfitModel, match=r"model version 1: its MLmodel file is not read: line 1 has an anchor"):
            trial.read(laughs(), "model", "1")

        assert set(multiprocessing.active_children()) <= children

    def test_what_has_passed_is_not_tried_again(self, bucket, tmp_path):
        trial = Trial("no://bucket", "error")
        version = fetched(tmp_path, "passed")
        trial.passed(version, (64, 256))

        assert trial.hold(version, threading.Event()).blocks == (64, 256)

    def test_the_sizes_of_blocks_are_found_in_the_trial_and_not_beside_what_serves(self, bucket, pool, tmp_path):
        # Given a pool that serves, and the trial of a version
        good = fetched(tmp_path, "good", spec=with_example(SPEC))
        pool.serve(replace(good, blocks=load(pool, good)))
        tried = TriedPool(pool, Trial(bucket.url, "error"))
        version = tried.prepare(fetched(tmp_path, "next", spec=with_example(SPEC)), threading.Event())
        assert version.blocks == (*sorted(SMALLER), BLOCK_ROWS, *LARGER)

        # When processes load one whose trial is told to have found fewer, then they have no others
        fewer = tried.trial.passed(fetched(tmp_path, "fewer", spec=with_example(SPEC)), (128, 256))
        assert tried.prepare(replace(fewer, blocks=None), threading.Event()).blocks == (128, 256)
        # and one that is started in place of a dead one finds none itself either
        pool.serve(fewer)
        with pytest.raises(ScorerDied):
            pool.run(Hostile("kills its process"), PATIENCE)
        assert loaded(pool) == ["fewer"]
        assert load(pool, fewer) == (128, 256)
