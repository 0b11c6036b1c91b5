"""A program of tests/unit/test_folder.py: `python -m tests.unit.dying_writer BASE SCENARIO` kills a writer everywhere.

For k = 1, 2, … it prepares the bucket BASE/k, and writes to it in a process that gets SIGKILL at its k-th call of the
operating system, until one survives. Apart from pytest, whose threads would not outlive a fork.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from transport.bucket import ABSENT, put
from transport.buckets.folder.bucket import FolderBucket

CALLS = (
    "open", "write", "fsync", "fstat", "stat", "replace", "unlink", "close", "mkdir", "copy_file_range", "fchmod",
    "setxattr",
)  # fmt: skip
NO_ATTRIBUTES = "NO_ATTRIBUTES"  # in the environment: as on a file system that keeps none


def prepare(bucket: FolderBucket, scenario: str) -> None:
    if scenario != "create":
        put(bucket, "output/x", b"old" * 1000, metadata={"version": "old"})


def act(bucket: FolderBucket, scenario: str) -> None:
    if scenario == "delete":
        bucket.delete("output/x")
    elif scenario == "copy":
        source = put(bucket, "claim", b"new" * 1000)
        bucket.copy("claim", source.generation, "output/x", metadata={"version": "new"})
    else:
        if_generation = ABSENT if scenario == "create" else None
        put(bucket, "output/x", b"new" * 1000, metadata={"version": "new"}, if_generation=if_generation)


def die_at(number: int) -> None:
    """From now on, this process kills itself instead of its `number`-th call of the operating system."""
    calls = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return wrapper

    for name in filter(partial(hasattr, os), CALLS):
        setattr(os, name, counted(getattr(os, name)))


def main(base: str, scenario: str) -> None:
    if os.environ.get(NO_ATTRIBUTES):
        del os.setxattr
    number = 0
    died = True
    while died:
        number += 1
        bucket = FolderBucket(f"{base}/{number}")
        prepare(bucket, scenario)
        child = os.fork()
        if child == 0:
            die_at(number)
            act(bucket, scenario)
            os._exit(0)
        died = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    print(number - 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
