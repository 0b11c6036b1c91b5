"""What a file may be at most: beyond it there is a receipt that names the limit and its setting, after bounded work."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from dataclasses import fields, replace
from pathlib import Path

import pytest

from ledger.commit import OUTCOME
from ledger.receipt import Outcome, Status
from models.scoring.table.limits import MB, UNPACKED_FREELY, Limits, Unreadable
from models.scoring.table.read import Table
from tests.memory import MemoryBucket
from tests.traced import most_held
from tests.worker_fixtures import HEADER, dropped, scorer, survey, table
from worker.__main__ import Work
from worker.scoring.score import Attempt, score_file

ROW = b"7,red,1.5,30,no\n"


@pytest.fixture
def bucket():
    return MemoryBucket()


def scored(bucket, data, name="a.csv", said=None, **limits):
    """The outcome of a file, of which a message said that it has `said` bytes."""
    event = dropped(bucket, name, data)
    event = replace(event, size=said if said is not None else event.size)
    claim = score_file(bucket, Attempt(event, 1, "w"), scorer(), Limits(**limits))
    assert claim is not None
    return Outcome.from_json(claim.metadata[OUTCOME])


def rejection(bucket, data, name="a.csv", said=None, **limits):
    outcome = scored(bucket, data, name, said, **limits)
    assert (outcome.status, outcome.output, outcome.rows) == (Status.REJECTED, None, 0)
    [error] = outcome.errors
    return error


class TestSize:
    def test_a_file_that_is_too_big_is_not_even_opened(self, bucket):
        steps = []
        bucket.hook = lambda operation, name: steps.append((operation, name))

        error = rejection(bucket, survey(500), max_file_bytes=5_000)

        assert error.message == "the file has more bytes than the 5,000 that UNDERSTUDY_MAX_FILE_BYTES allows"
        assert ("read", "a.csv") not in steps

    def test_where_the_message_says_too_little_reading_ends_at_the_limit(self, bucket):
        assert (
            "the 5,000 that UNDERSTUDY_MAX_FILE_BYTES allows"
            in rejection(bucket, survey(500), said=7, max_file_bytes=5_000).message
        )

    def test_a_message_that_says_too_much_is_not_believed(self, bucket):
        assert scored(bucket, survey(5), said=10**18).status is Status.SCORED

    def test_a_file_of_just_the_limit_is_scored(self, bucket):
        data = survey(100)

        assert scored(bucket, data, max_file_bytes=len(data)).status is Status.SCORED
        assert scored(bucket, data, max_file_bytes=len(data) - 1).status is Status.REJECTED

    def test_what_counts_is_how_it_is_stored(self, bucket):
        data = gzip.compress(survey(5_000))

        assert scored(bucket, data, "a.csv.gz", max_file_bytes=len(data)).rows == 5_000


class TestRowsColumnsFields:
    def test_rows(self, bucket):
        assert scored(bucket, survey(50), max_rows=50).rows == 50
        error = rejection(bucket, survey(51), max_rows=50)
        assert error.message == "the file has more rows than the 50 that UNDERSTUDY_MAX_ROWS allows"

    def test_malformed_rows_count_too(self, bucket):
        assert "MAX_ROWS" in rejection(bucket, table(["1,2"] * 51), max_rows=50).message

    def test_columns(self, bucket):
        wide = (HEADER + "".join(f",c{n}" for n in range(95)) + "\n").encode()

        assert scored(bucket, wide, max_columns=100).status is Status.SCORED
        error = rejection(bucket, wide, max_columns=99)
        assert error.message == "the header has 100 columns, more than the 99 that UNDERSTUDY_MAX_COLUMNS allows"

    def test_a_field(self, bucket):
        lines = ["1,red,1,30,no", "2,rot", f"3,{'é' * 51},1,30,no", "4,red,1,30,no"]

        assert scored(bucket, table(lines), max_field_bytes=102).rows == 4
        error = rejection(bucket, table(lines), max_field_bytes=101)
        assert error.column == "colour"
        assert error.message.startswith(
            "the field in row 3 has 102 bytes, more than the 101 that UNDERSTUDY_MAX_FIELD_BYTES allows"
        )

    def test_rows_swallowed_by_a_quote_are_found_out(self, bucket):
        lines = ['1,"red,1,30,no', *["2,red,1,30,no"] * 12_000, '3,red",1,30,no']

        error = rejection(bucket, table(lines))

        assert "the field in row 1 has" in error.message
        assert "MAX_FIELD_BYTES" in error.message

    def test_a_name_in_the_header(self, bucket):
        assert "MAX_FIELD_BYTES" in rejection(bucket, f"{HEADER},{'x' * 300}\n".encode(), max_field_bytes=200).message

    def test_a_row_longer_than_a_block(self, bucket):
        error = rejection(bucket, table([f"1,red,1,30,{'x' * 5_000}"]), block_bytes=1024)

        assert "1,024 bytes (UNDERSTUDY_BLOCK_BYTES)" in error.message


class Bomb(io.RawIOBase):
    """A gzip file that unpacks to any number of good rows, made while it is read; counts what was read of it."""

    def __init__(self, unpacked: int) -> None:
        self._rows = ROW * 65_536
        self._left = unpacked // len(self._rows)
        self._packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        self._ready = bytearray(self._packer.compress(HEADER.encode() + b"\n"))
        self.taken = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while len(self._ready) < size and self._left:
            self._left -= 1
            self._ready += self._packer.compress(self._rows)
            if not self._left:
                self._ready += self._packer.flush()
        data = bytes(self._ready[:size])
        del self._ready[:size]
        self.taken += len(data)
        return data


def unpack_a_bomb() -> tuple[str, int, int]:
    """Reads ten gigabytes, about ten megabytes as they are stored: why that ended, bytes of rows given, bytes taken."""
    bomb = Bomb(10_000 * MB)
    rows: list[int] = []
    batches = Table(bomb, ["colour", "weight", "age"]).batches()
    with pytest.raises(Unreadable) as refused:
        rows.extend(batch.rows for batch in batches)
    return str(refused.value), sum(rows) * len(ROW), bomb.taken


class TestBombs:
    def test_a_bomb_is_rejected_after_bounded_work_and_in_bounded_memory(self):
        (refusal, given, taken), held = most_held(unpack_a_bomb)

        # It ends as soon as what came out is out of proportion
        assert "200 to 1 that UNDERSTUDY_MAX_GZIP_RATIO allows" in refusal
        assert given < UNPACKED_FREELY + 4 * MB
        assert taken < MB
        assert held < 40 * MB

    def test_what_packs_well_and_is_small_is_no_bomb(self, bucket):
        data = gzip.compress(HEADER.encode() + b"\n" + ROW * 200_000)
        assert len(data) * 200 < 200_000 * len(ROW)

        assert scored(bucket, data, "a.csv.gz").rows == 200_000

    def test_the_ratio_is_a_setting(self):
        assert sum(batch.rows for batch in Table(Bomb(80 * MB), ["age"], limits=Limits(max_gzip_ratio=1_200)).batches())

    def test_a_bomb_within_a_bomb_is_no_text(self, bucket):
        twice = gzip.compress(gzip.compress(bytes(10 * MB)))

        assert rejection(bucket, twice, "a.csv.gz").message == "the file is gzip within gzip, not CSV: pack it once"

    def test_ten_thousand_empty_members_are_an_empty_file(self, bucket):
        assert rejection(bucket, gzip.compress(b"") * 10_000, "a.csv.gz").message == "the file is empty"


@pytest.mark.parametrize(
    ("name", "size", "seconds"),
    [
        ("a.csv", None, 600),
        ("a.csv", 64 * MB, 600),
        ("a.csv", 2_000 * MB, 18_750),
        ("a.csv.gz", 6 * MB, 600),
        ("A.CSV.GZ", 64 * MB, 6_000),
        ("claimed.csv", 2**63, 93_750),
    ],
)
def test_the_time_allowed_grows_with_the_size(name, size, seconds):
    assert Limits().seconds_allowed(600, name, size) == seconds


def test_security_md_lists_every_limit_with_its_default():
    text = (Path(__file__).parents[2] / "SECURITY.md").read_text()

    of_size = [
        limit
        for limit in fields(Limits)
        if limit.name not in {"encoding", "max_unknown", "spreadsheet_safe", "carry", "output"}
    ]
    assert len(of_size) == 6
    for limit in of_size:
        shown = {"max_file_bytes": "10 GB", "max_gzip_ratio": "200"}.get(limit.name, f"{limit.default:,}")
        assert f"| `UNDERSTUDY_{limit.name.upper()}` | {shown} |" in text


def test_every_limit_is_an_option_of_the_worker(monkeypatch):
    assert Work()._limits() == Limits()

    given = {
        "UNDERSTUDY_MAX_FILE_BYTES": "2GB",
        "UNDERSTUDY_MAX_ROWS": "3",
        "UNDERSTUDY_MAX_COLUMNS": "4",
        "UNDERSTUDY_MAX_FIELD_BYTES": "5",
        "UNDERSTUDY_MAX_GZIP_RATIO": "6",
    }
    for name, value in {**given, "UNDERSTUDY_BLOCK_BYTES": "7000", "UNDERSTUDY_SPREADSHEET_SAFE": "true"}.items():
        monkeypatch.setenv(name, value)

    assert Work()._limits() == Limits(2_000 * MB, 3, 4, 5, 6.0, 7000, spreadsheet_safe=True)


def test_each_promise_of_security_md_is_kept_by_tests_that_exist():
    tests = Path(__file__).parents[1]
    text = (tests.parent / "SECURITY.md").read_text()
    rows = re.findall(r"^\| .* \| (`[a-z]+/.*) \|$", text, re.MULTILINE)

    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]

    assert len(rows) == 14
    assert [name for name in named if not (tests / name).exists()] == []
