"""The same table as Parquet and as CSV: the same answers bit for bit, the same errors, the same figures."""

from __future__ import annotations

import datetime
import decimal
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.registry.spec import Column
from models.scoring.table.limits import Limits
from tests.unit.parquet.files import COLOURS, came_of, csv, parquet, survey
from tests.worker_fixtures import SPEC

KNOWN = replace(SPEC, columns=(replace(SPEC.columns[0], known=("red", "5", "5.0", "True", "1e-05")), *SPEC.columns[1:]))


def assert_same(table: pa.Table, spec: Any = SPEC, **options: Any) -> None:
    packed, plain = came_of(parquet(table, **options), "a.parquet", spec), came_of(csv(table), "a.csv", spec)
    assert packed == plain
    assert packed.rows


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_table_in_either_form(compression: str, version: str) -> None:
    assert_same(survey(2_000), compression=compression, data_page_version=version)


@pytest.mark.parametrize("block_bytes", [1 << 10, 5_000, 1 << 20])
@pytest.mark.parametrize("group", [1, 77, 2_000])
def test_neither_row_groups_nor_blocks_show(block_bytes: int, group: int) -> None:
    table = survey(300 if group == 1 else 2_000)

    found = came_of(parquet(table, row_group_size=group), "a.parquet", limits=Limits(block_bytes=block_bytes))

    assert found == came_of(csv(table), "a.csv")


def column(values: Any, kind: pa.DataType | None = None, name: str = "weight") -> pa.Table:
    """A survey of which one column holds other values."""
    held = values if isinstance(values, pa.Array) else pa.array(values, kind)
    table = survey(len(held)).set_column(2, "weight", pa.array([n / 3 for n in range(len(held))]))
    return table.set_column(table.column_names.index(name), name, held)


NUMBERS: list[tuple[str, Any, pa.DataType | None]] = [
    *((f"whole {kind}", [0, 1, 100, None, 7], kind) for kind in (pa.int8(), pa.int64(), pa.uint8(), pa.uint64())),
    ("beyond 2^53", [2**53 + 1, -(2**53) - 1, 2**63 - 1, 3], pa.int64()),
    ("unsigned beyond int64", [2**64 - 1, 2**63, 5], pa.uint64()),
    ("doubles", [0.1, 1 / 3, 1e300, 5e-324, 1e16, 123456789012345678.0, -0.0, 0.0, 5.0, 1e-5], pa.float64()),
    ("floats", [0.1, 1 / 3, 1e10, 16777217.0, -0.0, 65504.0, 1e-30], pa.float32()),
    ("no number", [math.nan, None, 1.5, -math.nan], pa.float64()),
    ("infinities", [math.inf, -math.inf, 1.0], pa.float64()),
    ("true and false", [True, False, None, True], pa.bool_()),
    ("decimals", [decimal.Decimal("12.50"), decimal.Decimal("-0.01"), None], pa.decimal128(10, 2)),
    ("texts of numbers", ["12.5", " 7 ", "+5.", "1e3", "NA", "abc", "1,5", "inf", None, "0x10"], pa.string()),
    ("large strings", ["12.5", "abc", None], pa.large_string()),
    ("dates", [datetime.date(2024, 1, 31), datetime.date(2024, 2, 1), None], pa.date32()),
    ("nothing but gaps", [None, None, None], pa.null()),
]  # fmt: skip


@pytest.mark.parametrize(("values", "kind"), [case[1:] for case in NUMBERS], ids=[case[0] for case in NUMBERS])
def test_a_column_of_numbers(values: Any, kind: Any) -> None:
    assert_same(column(values, kind))


@pytest.mark.parametrize(("values", "kind"), [case[1:] for case in NUMBERS], ids=[case[0] for case in NUMBERS])
def test_the_same_values_where_the_model_takes_texts(values: Any, kind: Any) -> None:
    assert_same(column(values, kind, "colour"), KNOWN)


@pytest.mark.parametrize(("values", "kind"), [case[1:] for case in NUMBERS], ids=[case[0] for case in NUMBERS])
def test_the_same_values_as_ids(values: Any, kind: Any) -> None:
    assert_same(column(values, kind, "id"))


@pytest.mark.parametrize(("values", "kind"), [case[1:] for case in NUMBERS], ids=[case[0] for case in NUMBERS])
@pytest.mark.parametrize("strict", [True, False])
def test_the_same_values_where_the_model_takes_true_and_false(values: Any, kind: Any, strict: bool) -> None:
    flag = Column("weight", is_text=False, is_flag=True, is_boolean=strict)
    assert_same(column(values, kind), replace(SPEC, columns=(SPEC.columns[0], flag, SPEC.columns[2])))


@pytest.mark.parametrize("index", [pa.int8(), pa.int32(), pa.uint16()])
@pytest.mark.parametrize("values", [["red", "green"], [1.5, 2.0], [3, 4]])
def test_values_that_are_stored_once(index: pa.DataType, values: list[Any]) -> None:
    codes = pa.array([0, 1, None, 1, 0], index)
    table = column(pa.DictionaryArray.from_arrays(codes, pa.array(values)), name="colour")
    assert came_of(parquet(table), "a.parquet", KNOWN) == came_of(csv(table), "a.csv", KNOWN)


def test_a_float_of_half_the_digits_is_the_number_it_is() -> None:
    half = column(np.array([65504.0, 0.1, 5.0], np.float16), pa.float16())
    same = column(np.array([65504.0, 0.1, 5.0], np.float16).astype(np.float32), pa.float32())
    assert came_of(parquet(half), "a.parquet") == came_of(csv(same), "a.csv")


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.string()])
def test_bytes_are_texts_and_those_that_are_not_utf8_an_error_of_their_row(kind: pa.DataType) -> None:
    held = pa.array([b"red", b"r\xffd", b"gr\0en", None])
    if kind == pa.string():
        held = pa.Array.from_buffers(kind, 4, held.buffers(), held.null_count)
    else:
        held = held.cast(kind)
    found = came_of(parquet(column(held, name="colour")), "a.parquet")

    plain = column(["red", "r#d", "gr~en", None], name="colour")
    text = csv(plain).replace(b"#", b"\xff").replace(b"~", b"\0")
    assert found == came_of(text, "a.csv")
    assert found.rejected == {"encoding": 1, "nul": 1}


def test_times_are_texts_as_pandas_writes_them() -> None:
    at = datetime.datetime(2024, 1, 31, 12, 30, 5)
    values = [at, at.replace(microsecond=250_000), None]
    for kind in (pa.timestamp("us"), pa.timestamp("ns")):
        said = [error.message for error in came_of(parquet(column(values, kind)), "a.parquet").errors]
        assert said[0] == "is not a number: '2024-01-31 12:30:05'"
        assert said[1].startswith("is not a number: '2024-01-31 12:30:05.25")
    zoned = came_of(parquet(column(values, pa.timestamp("s", "Europe/Berlin"))), "a.parquet")
    assert zoned.errors[0].message == "is not a number: '2024-01-31 12:30:05Z'"


_WRITABLE = st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")  # pandas puts no quotes around "\r"
cells = {
    "colour": st.sampled_from(COLOURS) | st.text(_WRITABLE, max_size=6) | st.none(),
    "weight": st.floats(width=64) | st.none() | st.integers(-5, 5).map(float),
    "age": st.integers(0, 120) | st.integers(-(2**63), 2**63 - 1) | st.none(),
}


@settings(max_examples=150)
@given(
    st.lists(st.tuples(*cells.values()), min_size=1, max_size=40),
    st.integers(1, 40),
    st.booleans(),
    st.sampled_from(["snappy", "none"]),
)
def test_any_table_is_the_same_in_either_form(rows: Any, group: int, dictionary: bool, compression: str) -> None:
    kinds = (pa.string(), pa.float64(), pa.int64())
    columns = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
    ids = pa.array([f"{n}" for n in range(len(rows))])
    table = pa.table({"id": ids, **dict(zip(cells, columns, strict=True))})
    packed = came_of(
        parquet(table, row_group_size=group, use_dictionary=dictionary, compression=compression), "a.parquet", KNOWN
    )
    assert packed == came_of(csv(table), "a.csv", KNOWN)
