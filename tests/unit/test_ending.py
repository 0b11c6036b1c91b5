"""A worker told to end: at once while it starts, by itself while it works, by force where it hangs; always with 0."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DRAIN, GIVE_BACK = 0.4, 0.3
HALF_STARTED = 0.3  # seconds, in which who does not wait for it would be gone
PROGRAM = f"""
import ctypes, sys, threading, time
from edge.log import start_log
from worker.processes import ending

ending.GIVE_BACK_SECONDS = {GIVE_BACK}
ending.STARTED_WITHIN_SECONDS = 60.0  # however slow the machine is
start_log("worker", "info")
end = ending.Ending(60.0 if "listening" in sys.argv else {DRAIN})
if "half-started" in sys.argv:  # its scoring process is there, and has not been told yet what to do
    from multiprocessing import util
    from worker.processes.process import ScoringProcess

    spawn = util.spawnv_passfds

    def spawn_and_be_slow(*arguments):
        pid = spawn(*arguments)
        if "--multiprocessing-fork" in arguments[1]:  # not its tracker of resources
            print("there", flush=True)
            end.stopping.wait()
            time.sleep({HALF_STARTED})
        return pid

    util.spawnv_passfds = spawn_and_be_slow
    ScoringProcess("bucket", "info", 0)
if "working" in sys.argv:
    end.work_begins()
print("there", flush=True)
if "deaf" in sys.argv:  # a wait in C that no signal cuts short
    mutex, c = ctypes.create_string_buffer(64), ctypes.CDLL(None)
    c.pthread_mutex_lock(mutex)
    c.pthread_mutex_lock(mutex)
(end.stopping if "listening" in sys.argv else threading.Event()).wait()
sys.exit(7)
"""
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start_one(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROGRAM, *words]
        program = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(program)
        assert program.stdout is not None
        assert program.stdout.readline() == "there\n"
        return program

    yield start_one
    for program in started:
        program.kill()
        program.communicate()


def end(program: subprocess.Popen[str], *numbers: int) -> tuple[int, str, float]:
    """Exit status, log, and how long it took."""
    told = time.monotonic()
    for number in numbers:
        program.send_signal(number)
    _, log = program.communicate(timeout=30)
    return program.returncode, log, time.monotonic() - told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_while_it_starts_it_ends_at_once_whatever_it_waits_for(start: Start, number: int) -> None:
    status, log, _ = end(start(), number)

    assert status == 0
    assert "stopped while starting" in log
    assert "ended by force" not in log


def test_a_scoring_process_that_is_just_being_started_leaves_no_traceback(start: Start) -> None:
    # when a worker is told to end in the moment in which its scoring process has been started, and told nothing yet
    status, log, took = end(start("half-started"), signal.SIGTERM)

    # then that is waited for, and ended too: what it writes into is closed
    assert status == 0
    assert took > HALF_STARTED
    assert "stopped while starting" in log
    assert "Traceback" not in log


def test_at_work_it_ends_by_itself(start: Start) -> None:
    status, log, _ = end(start("working", "listening"), signal.SIGTERM)

    assert (status, log) == (7, "")


def test_where_it_hangs_at_work_it_is_ended_once_its_time_is_over(start: Start) -> None:
    status, log, took = end(start("working"), signal.SIGTERM, signal.SIGINT, signal.SIGTERM)

    assert status == 0
    assert "ended by force" in log
    assert "comes again when its lease runs out" in log
    assert took > DRAIN + GIVE_BACK - 0.05


def test_a_main_thread_that_runs_no_step_of_python_ends_in_time_all_the_same(start: Start) -> None:
    status, log, _ = end(start("working", "deaf"), signal.SIGTERM)

    assert status == 0
    assert "ended by force" in log
