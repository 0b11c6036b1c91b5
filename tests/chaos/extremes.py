"""What no machine likes: very many files at once, and a gzip file that unpacks to very much."""

from __future__ import annotations

import gzip

from models.training.airline.schema import TEXT_COLUMNS
from tests.chaos.understudy import Running, surveys

ROWS = 160  # of a bomb, in one member of its gzip file: 64 MB


def drop_flood(running: Running, count: int) -> set[str]:
    """So many files of one row each, all there at once; gives their names."""
    header, *rows = surveys(1, 500)["part 000.csv"].splitlines(keepends=True)
    names = {f"{number:06}.csv" for number in range(count)}
    for number, name in enumerate(sorted(names)):
        (running.root / name).write_bytes(header + rows[number % 500])
    return names


def bomb(times: int) -> tuple[bytes, int]:
    """A gzip file of `times` times 64 MB of good rows, and to how many bytes it unpacks."""
    header, first = surveys(1, 500)["part 000.csv"].splitlines()[:2]
    cells = first.split(b",")
    for column in TEXT_COLUMNS:  # what packs best, and is within every other limit
        cells[header.split(b",").index(column.encode())] = b"a" * 100_000
    row = b",".join(cells) + b"\n"
    return gzip.compress(header + b"\n") + gzip.compress(row * ROWS) * times, len(row) * ROWS * times
