"""`new_data_filenames.txt`: every file name that a worker of this machine took, one per line."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import structlog

from ledger.names import Key

log = structlog.get_logger()


class FilenamesLog:
    """Appends to a file that many processes share: each line is one write to a file opened for appending."""

    def __init__(self, path: str) -> None:
        """`path` empty: nothing is written."""
        self._path = Path(path) if path else None

    def append(self, key: Key) -> None:
        """Writes time, generation and name. Never raises: a file is scored whether or not its name could be written."""
        if self._path is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.write(handle, f"{now} {key.generation} {key.name}\n".encode())
            finally:
                os.close(handle)
        except OSError as error:
            log.warning("file name not logged", file=key.name, error=str(error), todo="see UNDERSTUDY_FILENAMES_LOG")
