"""Tells of changes in a folder as they happen. A change that it misses is found by the next full pass."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import structlog
from watchfiles import Change, watch

from ledger.names import is_input

STEP = 10  # milliseconds without a further event after which events are told
DEBOUNCE = 100  # milliseconds after which they are told in any case
LOOK_AFTER = 500  # milliseconds without events after which it asks whether it is to stop
TRY_AGAIN = 30.0  # seconds until a folder that could not be watched is tried again

log = structlog.get_logger()


def watched_folder(bucket_url: str, prefix: str) -> Path | None:
    """The folder whose files are the inputs; None where the bucket is no folder."""
    return None if "://" in bucket_url else Path(bucket_url) / _folder_of(prefix)


class FolderWatch:
    """Calls `changed` with the name of each input that came or changed, from a thread of its own.

    Watches the one folder and nothing below it, so that outputs do not wake it. Use as a context manager.
    """

    def __init__(self, folder: Path, prefix: str, changed: Callable[[str], None]) -> None:
        self._folder, self._prefix, self._changed = folder, prefix, changed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="folder-watch", daemon=True)

    def __enter__(self) -> FolderWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        said = False
        while not self._stop.is_set():
            try:
                self._follow()
            except (OSError, RuntimeError) as error:  # the latter is what watchfiles calls any other trouble
                if not said:
                    log.warning(
                        "the folder cannot be watched; its files are found by the full pass at each --interval",
                        folder=str(self._folder),
                        error=str(error),
                    )
                said = True
                self._stop.wait(TRY_AGAIN)

    def _follow(self) -> None:
        """Tells of changes until stopped, or until another folder has this one's name."""
        below = _folder_of(self._prefix)
        watched = os.open(self._folder, os.O_RDONLY)  # held open, so that no other folder can get its number
        try:
            for changes in watch(
                self._folder,
                watch_filter=self._concerns_us,
                recursive=False,
                step=STEP,
                debounce=DEBOUNCE,
                rust_timeout=LOOK_AFTER,
                yield_on_timeout=True,
                stop_event=self._stop,
                raise_interrupt=False,
            ):
                for name in {below + os.path.basename(path) for _, path in changes}:
                    self._changed(name)
                if not changes and not os.path.samestat(os.fstat(watched), os.stat(self._folder)):
                    return
        finally:
            os.close(watched)

    def _concerns_us(self, change: Change, path: str) -> bool:
        return change is not Change.deleted and is_input(
            _folder_of(self._prefix) + os.path.basename(path), self._prefix
        )


def _folder_of(prefix: str) -> str:
    """`incoming/2026-` → `incoming/`: a prefix may end within a name."""
    return prefix[: prefix.rfind("/") + 1]
