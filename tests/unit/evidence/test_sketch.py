"""The sample of ids: it adds up in any order, and what it estimates is near the truth."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evidence.record.identity import hashes, identity
from models.evidence.record.sketch import K, Sketch, training_sketch
from models.evidence.record.training import Training

batches = st.lists(st.lists(st.integers(0, 60).map(str), max_size=40), max_size=6)


def sketch(*files: list[str], k: int = K) -> Sketch:
    whole = Sketch(k)
    for ids in files:
        part = Sketch(k)
        part.add(ids)
        whole.merge(part)
    return whole


@given(batches, st.randoms(use_true_random=False))
def test_any_split_of_the_rows_in_any_order_gives_the_same(files, random):
    at_once = sketch([each for ids in files for each in ids], k=10)
    random.shuffle(files)
    assert sketch(*files, k=10).to_json() == at_once.to_json()


@given(batches)
def test_it_is_exact_where_all_ids_are_in_it(files):
    rows = [each for ids in files for each in ids]
    found = sketch(*files).repeated()
    if not rows:
        assert found is None
    else:
        assert found is not None
        assert (found.value, found.error) == (pytest.approx(1 - len(set(rows)) / len(rows)), 0)


@given(batches)
def test_it_comes_back_from_json(files):
    made = sketch(*files, k=10)
    again = Sketch.from_json(json.loads(json.dumps(made.to_json())))
    assert (again.k, again.counts) == (made.k, made.counts)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_its_estimates_are_within_five_points_of_the_truth(share):
    first = [f"a{n}" for n in range(5_000)]
    again = (first * 20)[: round(5_000 * share / (1 - share))]
    repeated = sketch(first, again).repeated()
    assert repeated is not None
    assert repeated.value == pytest.approx(share, abs=0.05)
    new = [f"b{n}" for n in range(2_000)]
    known = round(2_000 * share)
    learned = sketch(new[known:] + first[:known]).share_in(training_sketch(first))
    assert learned is not None
    assert learned.value == pytest.approx(share, abs=0.08)


def test_rows_without_an_id_are_none_of_its_rows():
    assert sketch(["", " ", "NA", "\u200b"]).repeated() is None
    found = sketch(["7", " 7\u00a0", "'=7", "=7"]).repeated()  # a worker puts an apostrophe before what would be run
    assert found is not None
    assert (found.value, found.sample) == (0.5, 2)


@pytest.mark.parametrize(
    "kept",
    [
        None,
        [],
        "x",
        {},
        {"ids": 5},
        {"ids": {"k": 1}},
        {"ids": {"k": 0, "hashes": "", "rows": []}},
        {"ids": {"k": 1, "hashes": "zz", "rows": [1]}},
    ],
)
def test_what_cannot_be_read_of_a_training_is_not_known(kept):
    assert Training.from_json(kept) == Training()


def test_ids_have_one_hash_however_they_were_written_and_others_another():
    ids = [
        "a1",
        "\u00a0a1 ",
        "=1",
        "'=1",
        "Müller",
        "x" * 64,
        "x" * 65,
        f" {'x' * 65}",
        None,
        "",
        "nan",
        " #N/A ",
        "1.#IND",
    ]

    bits, known = hashes(ids)

    a1, spaced, formula, harmless, umlaut, short, long, long_spaced = bits[:8].tolist()
    assert (a1, formula, long) == (spaced, harmless, long_spaced)
    assert len({a1, formula, umlaut, short, long}) == 5
    assert known.tolist() == [True] * 8 + [False] * 5


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=70), max_size=20))
def test_a_hash_is_the_same_among_any_others(ids):
    bits, known = hashes(ids)

    alone = [hashes([each]) for each in ids]
    assert bits.tolist() == [int(one[0]) for one, _ in alone]
    assert known.tolist() == [bool(one[0]) for _, one in alone]
    by_identity = {
        identity(each): found for each, found, is_one in zip(ids, bits.tolist(), known, strict=True) if is_one
    }
    assert len({*by_identity.values()}) == len(by_identity)
