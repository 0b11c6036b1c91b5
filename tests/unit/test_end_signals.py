"""Signals that tell a program to end reach its listener, and nothing else of them is left afterwards."""

from __future__ import annotations

import gc
import os
import signal
import threading

import pytest

from deploy.waiting import SECONDS
from edge.end_signals import SIGNALS, on_end_signals

PATIENCE = SECONDS


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_told_once_and_by_another_thread(number: int) -> None:
    told, by = threading.Event(), []
    undo = on_end_signals(lambda: (by.append(threading.current_thread()), told.set()))
    try:
        for _ in range(3):
            os.kill(os.getpid(), number)
        assert told.wait(PATIENCE)
    finally:
        undo()

    assert len(by) == 1
    assert by != [threading.main_thread()]


def test_other_signals_are_not_meant() -> None:
    told = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    undo = on_end_signals(told.set)

    os.kill(os.getpid(), signal.SIGUSR1)
    undo()  # once the listener has heard all that came

    signal.signal(signal.SIGUSR1, before)
    assert not told.is_set()


def test_undone_it_leaves_all_as_it_was() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    gc.collect()  # else what earlier tests left may be closed just now
    files, threads = len(os.listdir("/proc/self/fd")), set(threading.enumerate())

    on_end_signals(lambda: None)()

    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1
    assert len(os.listdir("/proc/self/fd")) == files
    assert set(threading.enumerate()) <= threads
