"""A steady load on running workers, and what came of it: how many files in how long, and the longest gap."""

from __future__ import annotations

import io
import os
import threading
from itertools import pairwise

from ledger.names import OUTPUT
from tests.chaos.understudy import Running, entries

PAUSE_SECONDS = 0.05  # between two looks at how much still waits


def survey(rows: int) -> bytes:
    """A file for the graph of tests.unit.registered, whose versions of different weights answer it differently."""
    text = io.StringIO()
    text.write("id,distance\n")
    for row in range(rows):
        text.write(f"{row},{(row % 200 - 100) / 50}\n")
    return text.getvalue().encode()


class Load:
    """Keeps `ahead` files waiting, numbered from 0, each of `rows` rows. For use in a `with` block.

    With `published` it puts their events into the queue itself. A publisher that looks through a bucket which grows all
    the time would take the more of the machine the longer the test lasts: where rates are compared, there is none.
    """

    def __init__(self, running: Running, rows: int, ahead: int, *, published: bool = False) -> None:
        self._running = running
        self._content = survey(rows)
        self._ahead = ahead
        self._published = published
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._feed)
        self.dropped = 0

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """No more files; gives how many there were."""
        self._stop.set()
        self._thread.join()
        return self.dropped

    def output_times(self) -> list[float]:
        """When each output was written, in seconds since 1970, in order."""
        folder = self._running.root / OUTPUT
        return sorted(os.stat(folder / name).st_mtime for name in entries(str(folder)) if name.startswith("pred_"))

    def span(self) -> tuple[float, float]:
        """When the first output was written, and the last."""
        times = self.output_times()
        return times[0], times[-1]

    def rate(self, start: float, end: float) -> float:
        """Outputs per second between two times."""
        return sum(start <= at < end for at in self.output_times()) / (end - start)

    def longest_gap(self, start: float, end: float) -> float:
        """The longest time without an output between two times."""
        times = [start, *(at for at in self.output_times() if start <= at < end), end]
        return max(later - earlier for earlier, later in pairwise(times))

    def _feed(self) -> None:
        while not self._stop.is_set():
            done = self.dropped - self._running.backlog() if self._published else self._running.count_receipts()
            names = [f"{number:06}.csv" for number in range(self.dropped, done + self._ahead)]
            for name in names:
                self._running.drop(name, self._content)
            if self._published:
                self._running.queue.publish(self._running.event(name).to_message() for name in names)
            self.dropped += len(names)
            self._stop.wait(PAUSE_SECONDS)
