"""A call under a time limit, for libraries that may never return."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from threading import Thread
from typing import TypeVar

Result = TypeVar("Result")


class TookTooLong(Exception):
    """The call was ended."""


def within(seconds: float, call: Callable[[], Result]) -> Result:
    """What `call` returns or raises. Raises TookTooLong after `seconds`, and has the call end as soon as it can.

    The call runs in a thread, which gets the exception between two of Python's instructions: code that is in C for
    ever is left behind.
    """
    answer: list[Result] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            answer.append(call())
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread that asked
            raised.append(error)

    thread = Thread(target=run, daemon=True, name="limited")
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(TookTooLong))
        raise TookTooLong(f"it took longer than {seconds:g} s")
    if raised:
        raise raised[0]
    return answer[0]
