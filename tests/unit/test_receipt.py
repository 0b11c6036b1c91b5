"""What a receipt says, and that it always fits beside an object."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.commit import claim_metadata
from ledger.names import Key
from ledger.receipt import MAX_ERROR_TEXT, MAX_LISTED_ERRORS, ModelUsed, Outcome, RowError, Source, Status
from transport.event import Generation

OUTCOME = Outcome(
    Status.SCORED,
    Source("drop", "a.csv", 7, 1, 1234, "CY9rzUYh03PK3k6DJie09g==", "hcBpjQ=="),
    ModelUsed("tiny", "3", "0123456789abcdef", "yes"),
    rows=100,
    rejected_rows=2,
    output="output/pred_a.csv",
    sha256="f" * 64,
    timings={"read": 0.1, "score": 0.25},
    attempt=2,
    worker="host-17",
    finished="2026-01-02T03:04:05.678+00:00",
    errors=(RowError("is not a number: 'x'", 5, "age"), RowError("has 1 fields, the header has 5", 9)),
)
texts = st.text(max_size=50)
outcomes = st.builds(
    Outcome,
    st.sampled_from(Status),
    st.builds(Source, texts, texts, st.integers(0, 2**63), st.integers(0, 9)),
    st.none() | st.builds(ModelUsed, texts, texts, texts),
    rows=st.integers(0),
    timings=st.dictionaries(texts, st.floats(0, 1e6), max_size=5),
    errors=st.lists(st.builds(RowError, texts, st.none() | st.integers(1), st.none() | texts), max_size=3).map(tuple),
)


def test_a_receipt_is_plain_json_that_a_person_can_read():
    fields = json.loads(OUTCOME.to_json())

    assert fields["status"] == "scored"
    assert fields["source"]["name"] == "a.csv"
    assert fields["model"] == {"name": "tiny", "version": "3", "run_id": "0123456789abcdef", "positive_class": "yes"}
    assert fields["errors"][0] == {"message": "is not a number: 'x'", "row": 5, "column": "age"}


def test_a_receipt_belongs_to_its_input_generation_and_rescoring():
    assert OUTCOME.key == Key("a.csv", Generation(7, 1))


@given(outcomes)
def test_an_outcome_is_read_back_from_its_json(outcome):
    assert Outcome.from_json(outcome.to_json()) == outcome
    assert Outcome.from_json(outcome.to_json().encode()) == outcome


def test_of_many_errors_the_first_are_listed_and_long_ones_cut():
    many = replace(OUTCOME, errors=tuple(RowError("x" * 5_000, row) for row in range(1, 1_000)))

    listed = Outcome.from_json(many.to_json()).errors

    assert [error.row for error in listed] == list(range(1, len(listed) + 1))
    assert 1 <= len(listed) <= MAX_LISTED_ERRORS
    assert {len(error.message) for error in listed} == {MAX_ERROR_TEXT}
    short = replace(OUTCOME, errors=tuple(RowError("x", row) for row in range(1, 1_000)))
    assert len(Outcome.from_json(short.to_json()).errors) == MAX_LISTED_ERRORS


@pytest.mark.parametrize("letter", ["a", '"', "\\", "ü", "€", "😀"])
def test_an_outcome_fits_the_metadata_of_an_object_whatever_the_names(letter):
    # Given the longest name that an object may have, and errors and columns full of the same letter
    name = letter * (1020 // len(letter.encode())) + ".csv"
    outcome = replace(
        OUTCOME,
        source=replace(OUTCOME.source, name=name),
        output=f"output/pred_{name}",
        errors=tuple(RowError(letter * 5_000, row, letter * 100) for row in range(1, 30)),
    )

    # Then it stays below the 8 KiB that Cloud Storage allows for keys and values together
    metadata = claim_metadata(outcome)
    assert sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items()) < 8 * 1024
    back = Outcome.from_json(outcome.to_json())
    assert (back.source, back.rows, back.sha256) == (outcome.source, outcome.rows, outcome.sha256)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "{", '{"status": "scored"}', '{"status": "lost", "source": {}}', b"\xff", "5"]
)
def test_other_json_is_no_outcome(text):
    with pytest.raises(ValueError):
        Outcome.from_json(text)
