"""The most that Python held while something ran, traced in a process of its own."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

Result = TypeVar("Result")


def most_held(run: Callable[[], Result]) -> tuple[Result, int]:
    """What `run` (a function of a module) gives, and the most bytes that were allocated at once while it ran again.

    `tracemalloc.stop` crashes CPython before 3.13 where a thread of Arrow's just then enters the interpreter
    (python/cpython#128679). The process that traces ends without it.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_trace, args=(run, sender))
    process.start()
    sender.close()
    try:
        answer: tuple[Result, int] = receiver.recv()
        return answer
    except EOFError:
        raise AssertionError(f"{run.__name__} failed, see above") from None
    finally:
        process.join()
        receiver.close()


def _trace(run: Callable[[], Result], sender: Connection) -> None:
    run()  # what is imported or opened once is not traced
    tracemalloc.start()
    result = run()
    sender.send((result, tracemalloc.get_traced_memory()[1]))
    os._exit(0)
