"""Parquet files that are damaged, no such files, hostile, or too large: refused in one sentence, in bounded memory."""

from __future__ import annotations

import io
import random
import struct
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ledger.receipt import Status
from models.scoring.table.faults import FileFault
from models.scoring.table.limits import Limits
from models.scoring.table.parquet.chunks import read_footer
from models.scoring.table.parquet.thrift import I32, NoThrift, read_struct
from tests.memory import MemoryBucket
from tests.traced import most_held
from tests.unit.parquet.files import came_of, csv, parquet, refusal, survey
from tests.unit.test_score import score

GOOD = parquet(survey(500), row_group_size=100)


def with_footer(footer: bytes, before: bytes = GOOD) -> bytes:
    return before + footer + struct.pack("<I", len(footer)) + b"PAR1"


def footer_of(data: bytes) -> bytes:
    [length] = struct.unpack("<I", data[-8:-4])
    return data[-8 - length : -8]


def said_and_held(data: bytes, limits: dict[str, int]) -> tuple[str, int]:
    return str(refusal(data, **limits)), pa.default_memory_pool().max_memory()


def held_for(data: bytes, **limits: int) -> tuple[str, int]:
    """Why a file is refused, and the most bytes that Python or Arrow held for it."""
    (said, of_arrow), of_python = most_held(partial(said_and_held, data, limits))
    return said, max(of_arrow, of_python)


def test_every_way_to_cut_a_file_short_ends_in_a_receipt() -> None:
    for length in [*range(16), *range(100, len(GOOD), 997), len(GOOD) - 1]:
        outcome, content = score(MemoryBucket(), GOOD[:length], "a.parquet")

        assert (outcome.status, content) == (Status.REJECTED, b"")
        assert outcome.fault in ("empty", "format", "damaged")


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (b"", FileFault.EMPTY, "the file is empty"),
        (csv(survey(3)), FileFault.FORMAT, "is called .parquet and is none: if it is a CSV, call it .csv"),
        (b"PK\x03\x04" + bytes(50), FileFault.FORMAT, "the file is a zip archive, not Parquet: unpack it"),
        (b"ARROW1\0\0" + bytes(50), FileFault.FORMAT, "the file is an Arrow file, not Parquet"),
        (b"PARE" + bytes(50), FileFault.FORMAT, "is encrypted: save it without encryption"),
        (GOOD[:-4] + b"PARE", FileFault.FORMAT, "is encrypted: save it without encryption"),
        (GOOD[:-4] + b"PAR2", FileFault.DAMAGED, "its end is missing, where its footer should be"),
        (GOOD[:-2000], FileFault.DAMAGED, "its end is missing, where its footer should be"),
        (b"PAR1PAR1", FileFault.DAMAGED, "its end is missing"),
        (GOOD[:-8] + struct.pack("<I", 2**31) + b"PAR1", FileFault.DAMAGED, "its end is missing"),
        (with_footer(b""), FileFault.DAMAGED, "a structure that never ends"),
        (with_footer(b"\xff" * 500), FileFault.DAMAGED, "damaged"),
        (with_footer(footer_of(GOOD)[:-300]), FileFault.DAMAGED, "a structure that never ends"),
    ],
    ids=str,
)
def test_what_is_no_parquet_file_says_so(data: bytes, kind: FileFault, said: str) -> None:
    reason = refusal(data)

    assert reason.kind is kind
    assert said in str(reason)


def test_parquet_under_the_name_of_a_csv_is_told_to_be_named_so() -> None:
    assert str(refusal(GOOD, "a.csv")) == "the file is a Parquet file, not CSV: call it .parquet"


@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_a_page_that_is_damaged_in_the_middle_says_behind_which_row(compression: str) -> None:
    table = survey(500)
    data = bytearray(
        parquet(table, row_group_size=100, compression=compression, use_dictionary=False, write_page_checksum=True)
    )
    place = pq.ParquetFile(io.BytesIO(bytes(data))).metadata.row_group(3).column(2).data_page_offset
    data[place + 300] ^= 255

    reason = refusal(bytes(data))

    assert reason.kind is FileFault.DAMAGED
    assert "the Parquet data is damaged, cut short or encrypted after row 300" in str(reason)


def test_no_change_of_a_few_bytes_is_more_than_a_refusal_or_other_cells() -> None:
    choose = random.Random(7)
    for _ in range(100):
        data = bytearray(GOOD)
        for _ in range(choose.choice([1, 3])):
            data[choose.randrange(choose.choice([0, len(data) // 2, len(data) - 200]), len(data))] = choose.randrange(
                256
            )
        came_of(bytes(data), "a.parquet")  # a crash would end this process


@pytest.mark.parametrize("groups", [[], [pa.table({"id": [], "colour": [], "weight": [], "age": []})]])
def test_no_rows_are_scored_as_a_csv_of_a_header_is(groups: list[pa.Table]) -> None:
    schema = survey(0).schema
    out = io.BytesIO()
    with pq.ParquetWriter(out, schema) as writer:
        for _ in groups:
            writer.write_table(survey(0))

    assert came_of(out.getvalue(), "a.parquet") == came_of(csv(survey(0)), "a.csv")


NESTED = {
    "list<": pa.array([[1], [2]]),
    "struct<x": pa.array([{"x": 1}, {"x": 2}]),
    "map<": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
    "fixed_size_binary[2]": pa.array([b"ab", b"cd"], pa.binary(2)),
    "duration[s]": pa.array([1, 2], pa.duration("s")),
}


@pytest.mark.parametrize("kind", NESTED)
def test_a_column_that_has_no_cells_is_named_with_its_type(kind: str) -> None:
    table = survey(2)
    place = table.column_names.index("weight")

    reason = refusal(parquet(table.set_column(place, "weight", NESTED[kind])))

    assert reason.column == "weight"
    assert f"the column is of the Parquet type {kind}" in str(reason)
    assert "write it as one of these" in str(reason)


def test_a_column_that_is_not_asked_for_may_be_of_any_type() -> None:
    table = survey(2)
    for at, column in enumerate(NESTED.values()):
        table = table.add_column(at, f"x{at}", column)

    assert came_of(parquet(table), "a.parquet") == came_of(csv(survey(2)), "a.csv")


def test_names_are_found_as_in_a_csv_and_not_twice() -> None:
    table = survey(5)
    loose = table.rename_columns([" ID", "COLOUR ", "Weight", "AGE", "label"])
    assert came_of(parquet(loose), "a.parquet") == came_of(csv(table), "a.csv")

    twice = table.append_column("weight", table["weight"])
    assert str(refusal(parquet(twice))) == "the header has the column 'weight' twice: 'weight' and 'weight'"
    beside = table.append_column("x", table["id"]).append_column("x", table["age"])
    assert came_of(parquet(beside), "a.parquet") == came_of(csv(table), "a.csv")
    assert "lacks 'weight'" in str(refusal(parquet(table.drop_columns(["weight"]))))


class TestLimits:
    @pytest.mark.parametrize(
        ("limits", "said"),
        [
            ({"max_file_bytes": 1000}, "MAX_FILE_BYTES"),
            ({"max_rows": 499}, "MAX_ROWS"),
            ({"max_columns": 4}, "MAX_COLUMNS"),
            ({"max_field_bytes": 8}, "the field in row 8 has 9 bytes, more than the 8"),
        ],
    )
    def test_each_holds_for_parquet_too(self, limits: dict[str, int], said: str) -> None:
        table = survey(500).set_column(1, "colour", pa.array(["red"] * 7 + ["colourful"] * 493))
        reason = refusal(parquet(table.set_column(0, "id", pa.array(["p"] * 500))), **limits)

        assert reason.kind is FileFault.LIMIT
        assert said in str(reason)

    def test_a_page_that_unpacks_to_too_much_is_not_unpacked(self) -> None:
        rows = 3_000_000
        data = parquet(
            pa.table({"colour": pa.repeat("red", rows), "weight": pa.repeat(1.5, rows), "age": pa.repeat(7, rows)}),
            compression="zstd", use_dictionary=False, data_page_size=1 << 30, row_group_size=rows,
            max_rows_per_page=rows,
        )  # fmt: skip

        reason, held = held_for(data, block_bytes=1 << 17)

        assert "its pages are too large" in reason
        assert held < 40 * 10**6

    def test_a_long_text_that_is_stored_once_is_not_copied_for_every_row(self) -> None:
        rows = 200_000
        table = pa.table({
            "id": pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), pa.array(["x" * 100_000])),
            "colour": pa.repeat("red", rows), "weight": pa.repeat(1.5, rows), "age": pa.repeat(7, rows),
        })  # fmt: skip

        reason, held = held_for(parquet(table), block_bytes=1 << 18)

        assert "MAX_GZIP_RATIO" in reason
        assert held < 100 * 10**6


class TestHostileFooters:
    def claims(self, rows: int) -> bytes:
        """A footer that claims so many rows in one row group of no columns."""
        number = bytearray()
        zigzag = rows << 1
        while zigzag > 127:
            number.append(zigzag & 127 | 128)
            zigzag >>= 7
        number.append(zigzag)
        return bytes(b"\x36" + number + b"\x19\x1c\x19\x0c\x26" + number + b"\x00\x00")

    def test_a_row_count_that_the_columns_do_not_have_is_found_out(self) -> None:
        footer = footer_of(GOOD)
        data = io.BytesIO(with_footer(self.claims(10**15)))
        assert [group.rows for group in read_footer(data, len(data.getvalue()))] == [10**15]
        assert refusal(data.getvalue()).kind is FileFault.DAMAGED
        assert footer

    def test_lists_that_are_longer_than_the_footer_take_no_room(self) -> None:
        endless = b"\x49\xfc\xff\xff\xff\xff\x0f"
        reason, held = held_for(with_footer(endless))
        assert "a structure that never ends" in reason
        assert held < 10**7

    def test_more_structures_than_a_table_needs_are_refused_before_arrow_makes_room(self) -> None:
        many = b"\x49\xfc\x80\x80\x80\x01" + bytes(1 << 21)  # as many empty structs
        reason, held = held_for(with_footer(many))
        assert "more structures than a table needs" in reason
        assert held < 10**8

    @pytest.mark.parametrize("data", [b"\x1c" * 100, b"\x19\x19" * 100, b"\x19\xf9\x01" * 100])
    def test_structures_within_structures_end(self, data: bytes) -> None:
        with pytest.raises(NoThrift):
            read_struct(data, {1: I32}, 1000)


def test_blocks_are_small_where_rows_are_long() -> None:
    table = survey(400).set_column(0, "id", pa.array([f"{n}" * 3_000 for n in range(400)]))
    for dictionary in (True, False):
        data = parquet(table, use_dictionary=dictionary, dictionary_pagesize_limit=10_000, data_page_size=50_000)
        found = came_of(data, "a.parquet", limits=Limits(block_bytes=1 << 16))
        assert found == came_of(csv(table), "a.csv")
