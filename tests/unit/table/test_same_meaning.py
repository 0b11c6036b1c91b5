"""Training, serving, profile and labels read one table alike, whatever gaps, blanks and cases it is written in."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pandas._libs.parsers import STR_NA_VALUES

from models.evidence.sources.labels import LateLabels, add_labels
from models.profile.table import read_table
from models.registry.spec import Column
from models.scoring.table.columns import converted, validate
from models.scoring.table.gaps import BLANKS, GAPS
from models.scoring.table.read import Table
from models.training.rows import BadRows, read_rows

TYPES = {"text": "string", "number": "double", "truth": "boolean"}
COLUMNS = [
    Column("text", is_text=True),
    Column("number", is_text=False),
    Column("truth", is_text=False, is_flag=True, is_boolean=True),
]
blanks = st.text(st.sampled_from(sorted({*BLANKS} - {"\r", "\n"})), max_size=3)
any_case = st.sampled_from([str.lower, str.upper, str.title, str.swapcase])
texts = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters='"'), min_size=1, max_size=6)
meanings = {  # a strategy of (as it is written, what it means) per column; a gap means None
    "text": texts.filter(lambda text: text.strip(BLANKS) == text and text not in GAPS).map(lambda text: (text, text)),
    "number": st.floats(allow_nan=False, allow_infinity=False).map(lambda number: (repr(number), number)),
    "truth": st.one_of(
        st.tuples(st.sampled_from(["true", "false"]), any_case).map(lambda pair: (pair[1](pair[0]), pair[0] == "true")),
        st.sampled_from([("1", True), ("0", False)]),
    ),
}
gap = st.sampled_from(sorted(GAPS)).map(lambda token: (token, None))


@st.composite
def cell(draw: st.DrawFn, column: str) -> tuple[str, object]:
    written, means = draw(st.one_of(meanings[column], gap))
    return draw(blanks) + written + draw(blanks), means


rows = st.fixed_dictionaries({name: cell(name) for name in TYPES})
tables = st.lists(rows.filter(lambda row: any(means is not None for _, means in row.values())), min_size=1, max_size=8)
ALL_GAPS = [
    {"text": (f"\u00a0{token} ", None), "number": (f" {token}\t", None), "truth": ("TRUE", True)}
    for token in sorted(GAPS)
]


def written(table: list[dict[str, tuple[str, object]]], separator: str, header_case) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    writer.writerow([f" {header_case(name)} " for name in ("id", *TYPES)])
    writer.writerows([str(at), *(row[name][0] for name in TYPES)] for at, row in enumerate(table))
    return out.getvalue().encode()


def meant(value: object) -> object:
    """A reader's value of a cell: None for a gap, else a text or a number."""
    if value is None or isinstance(value, str):
        return value or None
    return None if np.isnan(value) else float(value)


def in_training(data: bytes) -> dict[str, list[object]]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "survey.csv")
        path.write_bytes(data)
        frame = read_rows(path, TYPES)
    return {name: [meant(value) for value in frame[name]] for name in TYPES}


def in_serving(data: bytes) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {name: [] for name in TYPES}
    table = Table(io.BytesIO(data), list(TYPES), all_columns=True)
    for batch in table.batches():
        assert not batch.faults
        checked = validate(batch, COLUMNS, decimal_comma=table.decimal_comma)
        assert checked.faults == {}
        for name in TYPES:
            found[name] += [meant(value) for value in checked.columns[name]]
    return found


@settings(max_examples=100, deadline=None)
@given(tables, st.sampled_from(",;\t|"), any_case)
@example(ALL_GAPS, ",", str.upper)
def test_training_and_serving_read_the_same_cells(table, separator, header_case):
    data = written(table, separator, header_case)
    expected = {name: [meant(row[name][1]) for row in table] for name in TYPES}

    assert in_training(data) == expected
    assert in_serving(data) == expected


@settings(max_examples=50, deadline=None)
@given(tables)
@example(ALL_GAPS)
def test_the_profile_and_late_labels_read_the_same_texts(table):
    data = written(table, ",", str.lower)
    expected = [meant(row["text"][1]) for row in table]

    with TemporaryDirectory() as folder:
        path = Path(folder, "survey.csv")
        path.write_bytes(data)
        profiled = read_table(path)["text"]
    assert [meant(text) for text in profiled] == expected
    labels = LateLabels(tuple(dict.fromkeys(text for text in expected if text)))
    add_labels(io.BytesIO(data), "survey.csv", "text", labels)
    assert labels.truth(np.array([str(at) for at in range(len(table))], dtype=object)).tolist() == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(sorted(STR_NA_VALUES)) | texts.filter(lambda text: text.strip() == text), min_size=1))
def test_gaps_without_blanks_are_those_of_pandas(cells):
    frame = pd.DataFrame({"text": cells, "truth": ["1"] * len(cells), "number": ["1"] * len(cells)})
    data = frame.to_csv(index=False).encode()

    by_pandas = pd.read_csv(io.BytesIO(data), dtype=str, na_values=["na"])["text"]

    assert in_serving(data)["text"] == [None if pd.isna(text) else text for text in by_pandas]


@pytest.mark.parametrize(("column", "cell"), [("number", "old"), ("number", "1,5"), ("truth", "2"), ("truth", "yes")])
def test_what_is_an_error_in_serving_is_refused_in_training(column, cell):
    row = {"text": ("Eco", "Eco"), "number": ("1", 1.0), "truth": ("1", True)}
    data = written([row, row | {column: (cell, None)}], ",", str.lower)

    [batch] = Table(io.BytesIO(data), list(TYPES)).batches()
    fault = validate(batch, COLUMNS).faults[1]
    with pytest.raises(BadRows) as refused:
        in_training(data)

    assert f"row 2, column {column!r} {fault.message}" in str(refused.value)


@pytest.mark.parametrize("gap", sorted(GAPS))
def test_a_gap_is_one_in_every_column_unless_the_model_knows_it_as_a_text(gap):
    for column in COLUMNS:
        found = converted(pa.array([f" {gap}\u00a0"]), column)
        assert found.gaps.tolist() == [True]
        assert found.values[0] == "" if column.is_text else np.isnan(found.values[0])
    found = converted(pa.array([f" {gap}\u00a0"]), Column("c", is_text=True, known=(gap, "Eco")))
    assert (found.values.tolist(), found.unknown.tolist()) == ([gap], [False])
