"""Predictions as CSV: what is read back is what was written, to the last bit."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.worker_fixtures import SPEC, THREE, output_rows
from worker.scoring import write


def read_back(data):
    return list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))


def two(positive):
    """Probabilities [N, 2] of which the second column is given."""
    positive = np.array(positive, dtype=np.float32)
    return np.column_stack([1 - positive, positive])


def texts(*values):
    return np.array(values, dtype=object)


def test_a_plain_output():
    data = write.header(SPEC) + output_rows(
        SPEC, 8, texts("a7", "a8"), texts("yes", None), two([0.75, np.nan]), {1: "age: is not a number: 'x'"}
    )

    assert data == (b"row,id,prediction,probability,error\n8,a7,yes,0.75,\n9,a8,,,age: is not a number: 'x'\n")


def test_a_file_without_ids_and_without_errors():
    assert output_rows(SPEC, 1, None, texts("no"), two([0.25]), {}) == b"1,,no,0.25,\n"


def test_no_rows_are_no_bytes():
    assert output_rows(SPEC, 1, None, texts(), two([]), {}) == b""


@pytest.mark.parametrize(("positive", "index"), [("no", 0), ("yes", 1), (None, 1)])
def test_which_probability_is_written_of_two(positive, index):
    from dataclasses import replace

    spec = replace(SPEC, positive=positive)

    assert write.positive_index(spec) == index
    assert output_rows(spec, 1, None, texts("no"), np.array([[0.25, 0.75]], np.float32), {}) == (
        b"1,,no,%s,\n" % [b"0.25", b"0.75"][index]
    )


def test_more_than_two_classes_have_a_column_each_named_and_quoted():
    data = write.header(THREE) + output_rows(
        THREE, 1, texts("x"), texts("yes, surely"), np.array([[0.5, 0.25, 0.125]], np.float32), {}
    )

    assert read_back(data) == [
        ["row", "id", "prediction", "probability_no", 'probability_may"be', "probability_yes, surely", "error"],
        ["1", "x", "yes, surely", "0.5", "0.25", "0.125", ""],
    ]
    assert b'"probability_may""be"' in data


@pytest.mark.parametrize("text", ['"', ",", "\n", "\r", "\r\n", '""', 'a"b', "a,b", 'a\n"b",c', '",\n'])
def test_what_needs_quotes_gets_them(text):
    data = output_rows(SPEC, 1, texts(text), texts(text), two([0.5]), {})
    failed = output_rows(SPEC, 1, texts(text), texts(None), two([0.5]), {0: text})

    quoted = '"' + text.replace('"', '""') + '"'  # RFC 4180, section 2, 5 to 7
    assert data.decode() == f"1,{quoted},{quoted},0.5,\n"
    assert failed.decode() == f"1,{quoted},,,{quoted}\n"


@pytest.mark.parametrize("text", ["", " ", " a ", "'", ";", "a b", "ü", "😀", "=1+1", "\t", "\\"])
def test_what_does_not_need_quotes_gets_none(text):
    assert output_rows(SPEC, 1, texts(text), texts("no"), two([0.5]), {}).decode() == f"1,{text},no,0.5,\n"


@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.none() | st.text(min_size=1)), max_size=20
    ),
    st.integers(1, 10**9),
)
def test_csv_reads_back_what_was_written(table, first):
    ids, errors = texts(*(id for id, _ in table)), {i: error for i, (_, error) in enumerate(table) if error is not None}
    labels = texts(*(None if i in errors else ("no", "yes")[i % 2] for i in range(len(table))))

    found = read_back(output_rows(SPEC, first, ids, labels, two([0.5] * len(table)), errors))

    assert found == [
        [str(first + i), id, labels[i] or "", "" if i in errors else "0.5", errors.get(i, "")]
        for i, (id, _) in enumerate(table)
    ]


@given(arrays.arrays(np.float32, st.integers(1, 20), elements=st.floats(0, 1, width=32)))
def test_a_probability_is_the_same_float32_when_read_back(probabilities):
    data = output_rows(SPEC, 1, None, texts(*["no"] * len(probabilities)), two(probabilities), {})

    written = [row[3] for row in read_back(data)]
    assert np.array(written, dtype=np.float32).tobytes() == probabilities.tobytes()
    # and no digit more than needed: numpy's own shortest text is as long
    for text, value in zip(written, probabilities, strict=True):
        assert len(text.replace("e-0", "e-").strip("0.")) <= len(np.format_float_scientific(value, trim="-")) + 1


def test_pandas_reads_the_same():
    # Given an output with everything in it
    ids = texts("a", 'q"uote', "com,ma", "new\nline", " blank ")
    labels = texts("yes", "no", None, "yes", "no")
    probabilities = two([0.1, 0.2, np.nan, 1.0, 1e-30])
    data = write.header(SPEC) + output_rows(SPEC, 1, ids, labels, probabilities, {2: "weight: is not a number: 'x,y'"})

    # When pandas reads it as people do
    frame = pd.read_csv(io.BytesIO(data), keep_default_na=False, na_values=[""], dtype={"probability": np.float32})

    # Then it finds what was written
    assert frame["row"].tolist() == [1, 2, 3, 4, 5]
    assert frame["id"].tolist() == ids.tolist()
    assert frame["prediction"].fillna("").tolist() == ["yes", "no", "", "yes", "no"]
    assert frame["probability"].to_numpy().tobytes() == probabilities[:, 1].tobytes()
    assert frame["error"].fillna("").tolist() == ["", "", "weight: is not a number: 'x,y'", "", ""]


def test_pandas_reads_many_classes_the_same():
    probabilities = np.array([[0.1, 0.2, 0.7], [1, 0, 0]], np.float32)
    data = write.header(THREE) + output_rows(THREE, 1, None, texts('may"be', "no"), probabilities, {})

    frame = pd.read_csv(io.BytesIO(data))

    assert list(frame) == ["row", "id", "prediction", *(f"probability_{name}" for name in THREE.classes), "error"]
    assert frame.filter(like="probability").to_numpy(np.float32).tobytes() == probabilities.tobytes()
