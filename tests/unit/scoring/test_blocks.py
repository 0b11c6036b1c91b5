"""Blocks: as large as pays, and never of a size that changes a bit of some row's answer."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.registry.spec import Column
from models.scoring import scorer as scoring
from models.scoring.scorer import (
    BLOCK_ROWS,
    LARGER,
    SMALLER,
    TRIED_ROWS,
    TRIED_ROWS_SMALLER,
    equal_sizes,
    filled,
    next_block,
    trial_rows,
)
from tests.worker_fixtures import SPEC, scorer, with_example

ALL = (*sorted(SMALLER), BLOCK_ROWS, *LARGER)
ROWS = {"a": np.arange(TRIED_ROWS, dtype=np.float64)}


def answered(columns, salt=b""):
    """Labels and the bytes of probabilities, by the rows alone and the salt."""
    cells = columns["a"]
    return [str(cell) for cell in cells], b"".join(hashlib.sha256(salt + cell.tobytes()).digest()[:8] for cell in cells)


@given(rows=st.integers(1, 20_000), smallest=st.integers(0, 2), steps=st.integers(1, len(LARGER) + 1))
def test_blocks_hold_all_rows_and_little_filling(rows, smallest, steps):
    sizes = ALL[smallest : len(SMALLER) + steps]
    left, filling = rows, 0
    while left > 0:
        size = next_block(left, sizes)
        assert size in sizes
        assert size == sizes[0] or 4 * left >= 3 * size
        # No larger one would have been filled so well
        assert all(4 * left < 3 * larger for larger in sizes if larger > size)
        filling += max(0, size - left)
        left -= size
    assert filling <= max(sizes[0] - 1, rows // 3)


def test_a_block_is_filled_with_its_last_row():
    assert filled(np.array([1.0, 2.0]), 4).tolist() == [1.0, 2.0, 2.0, 2.0]
    assert filled(np.array(["x"], dtype=object), 1).tolist() == ["x"]


def test_a_graph_whose_answers_do_not_depend_on_the_size_gets_them_all():
    assert equal_sizes(answered, ROWS, 0.0) == ALL


@pytest.mark.parametrize("odd", [*SMALLER, *LARGER])
@pytest.mark.parametrize("what", ["a last bit of one row", "a label", "an error"])
def test_no_size_is_used_from_the_first_on_that_answers_otherwise(odd, what):
    def answer(columns):
        labels, probabilities = answered(columns)
        if len(labels) == odd:
            if what == "an error":
                raise RuntimeError("no such rows")
            if what == "a label":
                labels[odd // 2] = "another"
            else:
                probabilities = probabilities[:-1] + bytes([probabilities[-1] ^ 1])
        return labels, probabilities

    at = ALL.index(odd)
    assert equal_sizes(answer, ROWS, 0.0) == (ALL[at + 1 :] if odd < BLOCK_ROWS else ALL[:at])


def test_a_small_block_is_compared_on_many_rows():
    def answer(columns):
        labels, probabilities = answered(columns)
        last = TRIED_ROWS_SMALLER - 1
        if len(labels) == 64 and last in columns["a"]:
            labels[-1] = "another"
        return labels, probabilities

    assert equal_sizes(answer, ROWS, 0.0) == ALL[1:]


def test_a_graph_that_takes_no_mixed_rows_stays_on_the_one_size():
    def answer(columns):
        raise RuntimeError("no such rows")

    assert equal_sizes(answer, ROWS, 0.0) == (BLOCK_ROWS,)


def test_a_slow_graph_is_not_tried_for_long(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(scoring.time, "monotonic", lambda: now[0])

    def answer(columns):
        now[0] += 0.15 * len(columns["a"]) / BLOCK_ROWS
        return answered(columns)

    assert equal_sizes(answer, ROWS, 0.15) == (BLOCK_ROWS, *LARGER[:1])
    assert now[0] < scoring.TRIED_FOR_SECONDS

    now[0] = 0.0
    assert equal_sizes(answer, ROWS, 60.0) == (BLOCK_ROWS,)
    assert now[0] == 0.0


def test_trial_rows_are_mixed_from_the_example_and_numbers_are_moved():
    columns = (*SPEC.columns, Column("flag", False, is_flag=True))
    example = {
        "colour": np.array(["red", "", "ré,d"], dtype=object),
        "weight": np.array([3.0, np.nan, -7.5]),
        "age": np.array([30.0, 5.0, 6.0]),
        "flag": np.array([1.0, 0.0, np.nan]),
    }
    rows = trial_rows(example, columns)
    assert {name: len(cells) for name, cells in rows.items()} == dict.fromkeys(example, TRIED_ROWS)
    assert set(rows["colour"]) == {"red", "", "ré,d"}
    assert set(rows["age"]) == {30.0, 5.0, 6.0}
    assert set(rows["flag"][~np.isnan(rows["flag"])]) == {0.0, 1.0}
    weights = rows["weight"][~np.isnan(rows["weight"])]
    assert len(set(weights)) > TRIED_ROWS // 4
    assert np.isnan(rows["weight"]).any()
    # Columns are mixed by themselves: a row of the example is not kept together
    assert len(set(zip(rows["colour"], rows["age"], strict=True))) == 9


def test_a_prepared_scorer_gives_the_same_bits_as_one_that_is_not():
    spec = with_example(SPEC)
    plain, prepared = scorer(spec), scorer(spec)
    prepared.prepare()
    choose = np.random.default_rng(1)
    for rows in (0, 1, 255, 257, 900, 5_000):
        columns = {
            "colour": choose.choice(np.array(["red", "green", ""], dtype=object), rows),
            "weight": choose.normal(size=rows),
            "age": choose.integers(0, 90, rows),
        }
        one, other = plain.score(columns), prepared.score(columns)
        assert one.labels.tolist() == other.labels.tolist()
        assert one.probabilities.tobytes() == other.probabilities.tobytes()
