"""Files that a check drops into a bucket, followed to their receipts and predictions."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from deploy.processes import ROOT
from ledger.commit import read_receipt
from ledger.names import RECEIPTS, Key, output_name, parse_key
from ledger.receipt import Status
from tests.acceptance.checked import expect, until
from transport.bucket import Bucket, get
from transport.event import Generation


def sample(files: int, rows: int, seed: int) -> list[bytes]:
    """The contents of so many labelled CSV files of the synthetic survey."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--rows", str(rows), "--files", str(files), "--seed", str(seed), "--out", f"{folder}/files"]
        command = [sys.executable, "-m", "models", "sample", *options]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return [path.read_bytes() for path in sorted(Path(folder, "files").glob("*.csv"))]


class DroppedFiles:
    """The files dropped so far. Names are never used twice: each file has one generation, and so one receipt."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._rows: dict[Key, int] = {}

    def dropped(self, contents: Mapping[str, bytes]) -> None:
        """From now on these, just dropped under these names, are followed too."""
        for name, content in contents.items():
            info = self._bucket.stat(name)
            expect(info is not None, f"{name} was dropped and is not in {self._bucket.url}")
            if info is not None:
                self._rows[Key(name, Generation(info.generation))] = content.count(b"\n") - 1

    @property
    def without_receipt(self) -> list[Key]:
        """Those that nobody has finished yet, by a listing of the receipts."""
        receipts = {info.name for info in self._bucket.objects(RECEIPTS)}
        return [key for key in self._rows if key.receipt not in receipts]

    def await_all(self, seconds: float) -> float:
        """Returns once all have their receipts: how long that took. Raises CheckFailed."""
        _, took = until(
            lambda: not self.without_receipt,
            seconds,
            lambda: f"no receipt of {', '.join(map(str, self.without_receipt[:5]))}",
        )
        return took

    def expect_nothing_lost(self) -> None:
        """Each has one receipt that says `scored` and a prediction per row; nobody else has one. CheckFailed."""
        keys = [parse_key(info.name, RECEIPTS) for info in self._bucket.objects(RECEIPTS)]
        expect(sorted(map(str, keys)) == sorted(map(str, self._rows)), f"the receipts are of {keys}, not of what came")
        for key, rows in self._rows.items():
            receipt = read_receipt(self._bucket, key)
            status = receipt.status if receipt else "gone"
            expect(status is Status.SCORED, f"the receipt of {key} says {status}, not scored")
            lines = get(self._bucket, output_name(key.name)).count(b"\n") - 1
            expect(lines == rows, f"{key}: {lines} predictions for {rows} rows")

    def workers(self) -> set[str]:
        """Who has scored something, by the receipts."""
        receipts = (read_receipt(self._bucket, key) for key in self._rows)
        return {receipt.worker for receipt in receipts if receipt}
