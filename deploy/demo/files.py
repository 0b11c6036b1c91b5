"""The twenty files of the demo: clean ones, and one of each kind that real life brings."""

from __future__ import annotations

import csv
import gzip
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass

ROWS = 500


@dataclass(frozen=True)
class DemoFile:
    """A file to drop: `replacement` is dropped over it while the rest run."""

    name: str
    content: bytes
    what: str
    replacement: bytes | None = None


def demo_files(clean: Sequence[bytes]) -> list[DemoFile]:
    """Twenty files out of 20 clean CSVs with a header line."""
    gaps, no_survey, zipped, replaced, replacement, *rest = clean
    files = [
        DemoFile("flights-with-gaps.csv", spoiled(gaps), "gaps, bad cells"),
        DemoFile("holiday-photos.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + no_survey[:2000], "no survey"),
        DemoFile("flights-zipped.csv.gz", gzip.compress(zipped, mtime=0), "gzip"),
        DemoFile("flights-replaced.csv", replaced, "replaced", replacement),
    ]
    files += [DemoFile(f"flights-{number:02}.csv", content, "clean") for number, content in enumerate(rest, 1)]
    return files


def spoiled(content: bytes, seed: int = 7) -> bytes:
    """The same rows with blanks, words where numbers belong, and a row that is cut short."""
    choose = random.Random(seed)  # noqa: S311 - no secret
    header, *rows = csv.reader(io.StringIO(content.decode()))
    age, distance = header.index("Age"), header.index("Flight Distance")
    for row in rows:
        if choose.random() < 0.1:
            row[age] = choose.choice(["", "NA", "null"])
    rows[11][distance] = "far"
    rows[200][age] = "forty-two"
    del rows[300][10:]
    out = io.StringIO(newline="")
    csv.writer(out).writerows([header, *rows])
    return out.getvalue().encode()
