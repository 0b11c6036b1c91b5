"""SIGTERM and Ctrl-C, heard by a thread of their own.

Python runs a signal's handler in the main thread, between two of its steps. Where that thread waits outside Python (for
a lock, for a server), the handler has to wait too; a signal that comes in the moment before such a wait does not even
cut it short. What the interpreter writes to its wakeup file descriptor comes at once, even while the main thread waits.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from threading import Thread

SIGNALS = (signal.SIGTERM, signal.SIGINT)
_NO_MORE = 0


def on_end_signals(call: Callable[[], None]) -> Callable[[], None]:
    """At the first SIGTERM or SIGINT a thread calls `call`. Only the main thread may use this, and once at a time.

    The function that is returned restores what was before.
    """
    hears, tells = os.pipe()
    os.set_blocking(tells, False)

    def listen() -> None:
        while (number := os.read(hears, 1)[0]) != _NO_MORE:
            if number in SIGNALS:
                call()
                return

    listener = Thread(target=listen, daemon=True, name="end-signals")
    listener.start()
    told_before = signal.set_wakeup_fd(tells, warn_on_full_buffer=False)
    # Some handler is needed: without one the signal would end the process, or be ignored.
    handled_before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}

    def undo() -> None:
        for number, handler in handled_before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(told_before)
        os.write(tells, bytes([_NO_MORE]))
        listener.join()
        os.close(tells)
        os.close(hears)

    return undo
