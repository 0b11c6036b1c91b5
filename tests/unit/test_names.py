"""What an input is, and what everything below `output/` is called."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.names import (
    CLAIMS,
    COMPARISONS,
    FAILURES,
    OUTPUT,
    RECEIPTS,
    UNUSABLE,
    Key,
    is_input,
    output_name,
    parse_key,
)
from transport.event import MAX_GENERATION, Generation

endings = [
    "",
    ".csv",
    ".CSV",
    ".Csv",
    ".gz",
    ".csv.gz",
    ".CSV.GZ",
    ".csv.csv",
    ".parquet",
    ".tmp",
    ".part",
    "@1",
    ".json",
]
names = st.builds(
    lambda prefix, stem, tail: prefix + stem + "".join(tail),
    st.sampled_from(["", "in/", "a.csv/"]),
    st.sampled_from(["a", "A", "pred_a", "shadow", "flights of May", "ü", "a@5", "%2E"]) | st.text("a.@/c", max_size=4),
    st.lists(st.sampled_from(endings), max_size=4),
)


@pytest.mark.parametrize(
    "name",
    [
        "a.csv",
        "A.CSV",
        "a.Csv",
        "a.csv.gz",
        "a.CSV.GZ",
        "a b.csv",
        "ü.csv",
        "a.b.csv",
        "x.tmp.csv",
        "#?%.csv",
        "a.parquet",
        "A.Parquet",
    ],
)
def test_csv_files_at_the_root_are_inputs(name):
    assert is_input(name)
    assert is_input(f"in/{name}", "in/")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a",
        "a.txt",
        "a.csv.zip",
        "a.gz",
        "acsv",
        ".csv",
        ".csv.gz",
        ".parquet",
        "a.parquet.gz",
        ".a.csv",
        "a.csv.tmp",
        "a.csv.part",
        "a.csv.crdownload",
        "a.csv.TMP",
        "deep/a.csv",
        "output/a.csv",
        "output/pred_a.csv",
    ],
)
def test_anything_else_is_not(name):
    assert not is_input(name)


def test_inputs_lie_directly_below_the_prefix_and_nowhere_else():
    assert is_input("in/a.csv", "in/")
    assert not is_input("a.csv", "in/")
    assert not is_input("in/deeper/a.csv", "in/")
    assert not is_input("in/.a.csv", "in/")
    assert not is_input("output/a.csv", "output/")


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("flights.csv", "output/pred_flights.csv"),
        ("flights.csv.gz", "output/pred_flights.csv.gz.csv"),
        ("FLIGHTS.CSV", "output/pred_FLIGHTS.CSV.csv"),
        ("flights.csv.csv", "output/pred_flights.csv.csv.csv"),
        ("flights.csv.gz.csv", "output/pred_flights.csv.gz.csv.csv"),
        ("FLIGHTS.CSV.csv", "output/pred_FLIGHTS.CSV.csv.csv"),
        ("a.b.csv", "output/pred_a.b.csv"),
        ("flights.parquet", "output/pred_flights.parquet.csv"),
        ("flights.parquet.csv", "output/pred_flights.parquet.csv.csv"),
        ("flights.csv.parquet", "output/pred_flights.csv.parquet.csv"),
    ],
)
def test_an_output_is_called_after_its_input(name, output):
    assert output_name(name) == output
    assert Key(name, Generation(1)).shadow == output.replace("output/", "output/shadow/")


def test_no_two_inputs_share_an_output_or_a_shadow():
    # Given every name that a few endings in any order make
    stems = ["a", "A", "pred_a", "shadow"]
    inputs = {
        stem + "".join(tail)
        for stem in stems
        for length in (1, 2, 3, 4)
        for tail in itertools.product([".csv", ".CSV", ".gz", ".csv.gz", ".CSV.gz", ".parquet"], repeat=length)
    }
    inputs = {name for name in inputs if is_input(name)}
    assert len(inputs) > 1000

    # Then each has places of its own
    keys = [Key(name, Generation(1)) for name in inputs]
    places = {place for key in keys for place in (key.output, key.shadow, key.receipt, key.claim, key.failure)}
    assert len(places) == 5 * len(inputs)


inputs = names.filter(lambda name: is_input(name, name[: name.rfind("/") + 1]))


@given(inputs, inputs)
@example("a.csv.gz", "a.csv.gz.csv")
@example("A.CSV", "A.CSV.csv")
@example("a.csv", "a.csv.csv")
@example("a.parquet", "a.parquet.csv")
def test_two_different_inputs_have_different_outputs(one, other):
    if one != other:
        first, second = Key(one, Generation(1)), Key(other, Generation(1))
        assert {first.output, first.shadow}.isdisjoint({second.output, second.shadow})


@given(names)
def test_what_is_written_is_never_an_input(name):
    key = Key(name, Generation(3, 1))

    for place in (key.output, key.shadow, key.receipt, key.comparison, key.claim, key.failure):
        assert place.startswith(OUTPUT)
        assert not any(is_input(place, prefix) for prefix in ("", OUTPUT, RECEIPTS, CLAIMS))


@given(names.filter(bool), st.integers(0, MAX_GENERATION), st.integers(0, MAX_GENERATION))
def test_keys_are_read_back_from_the_names_of_their_objects(name, content, rescore):
    key = Key(name, Generation(content, rescore))

    assert parse_key(key.receipt, RECEIPTS) == key
    assert parse_key(key.comparison, COMPARISONS) == key
    assert parse_key(key.claim, CLAIMS) == key
    assert parse_key(key.failure, FAILURES) == key


@pytest.mark.parametrize(
    "name",
    [
        f"{RECEIPTS}a.csv@1",
        f"{RECEIPTS}a.csv.json",
        f"{RECEIPTS}@1.json",
        f"{RECEIPTS}a.csv@.json",
        f"{RECEIPTS}a.csv@x.json",
        f"{RECEIPTS}a.csv@01.json",
        f"{RECEIPTS}a.csv@1.0.json",
        f"{COMPARISONS}a.csv@1.json",
        f"{UNUSABLE}17.json",
        "output/pred_a.csv",
    ],
)
def test_objects_of_other_names_are_no_receipts(name):
    assert parse_key(name, RECEIPTS) is None


def test_keys_of_one_input_are_ordered_as_they_were_scored():
    keys = [Key("a.csv", Generation(*pair)) for pair in ((1, 0), (1, 1), (1, 2), (2, 0), (10, 0))]

    assert sorted([keys[4], *keys[:4]]) == keys
