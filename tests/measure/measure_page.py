"""The publisher's page over a folder with ten thousand receipts: how soon it answers, and what a look costs."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

from edge.signals import Signals, Starting
from ledger.commit import bring_to_receipt, claim_outcome
from ledger.receipt import ModelUsed, Outcome, Source, Status
from publisher.page.look import Looker
from publisher.page.page import Page
from tests.measure.figures import Figures
from transport.bucket import put
from transport.buckets.folder.bucket import FolderBucket
from transport.queues.sqlite.queue import LocalQueue

FILES = 10_000
ASKED = 50


def test_page_of_ten_thousand_files(figures: Figures, tmp_path: Path) -> None:
    bucket, queue = FolderBucket(str(tmp_path / "bucket")), LocalQueue(str(tmp_path / "queue.db"))
    for number in range(FILES):
        name = f"flights-{number:05}.csv"
        info = put(bucket, name, b"a\n1\n")
        outcome = Outcome(
            Status.REJECTED,
            Source(bucket.name, name, info.generation),
            ModelUsed("airline-satisfaction", "1", "run"),
            finished="2026-05-01T08:00:00.000+00:00",
        )
        bring_to_receipt(bucket, outcome.key, lambda made=outcome: claim_outcome(bucket, made))

    with Signals("publisher", "127.0.0.1:0") as signals:
        signals.vitals = vitals = Starting()
        signals.pages = page = Page(bucket, queue, "", vitals)
        first, text = _asked(signals.url)
        figures.note("first answer", first, "s", at_most=1.0)
        until = time.monotonic() + 10
        while "in the bucket" not in text and time.monotonic() < until:
            text = _asked(signals.url)[1]
        assert f"{FILES:,} files in the bucket" in text
        used = time.process_time()
        later = [_asked(signals.url)[0] for _ in range(ASKED)]
        figures.note("later answers, the slowest", max(later), "s", at_most=1.0)
        figures.note("processor per later answer", 1e3 * (time.process_time() - used) / ASKED, "ms", at_most=50.0)
        page.close()

    looker = Looker(bucket, queue, "")
    for which in ("first", "next"):
        used = time.process_time()
        looker.look()
        figures.note(f"processor of the {which} look", time.process_time() - used, "s", at_most=1.0)
    queue.close()


def _asked(url: str) -> tuple[float, str]:
    began = time.monotonic()
    with urllib.request.urlopen(f"{url}/", timeout=30) as answer:
        return time.monotonic() - began, answer.read().decode()
