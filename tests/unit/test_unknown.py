"""Texts that a model was never shown are counted by column, and a file of nothing else is rejected."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from ledger.commit import OUTCOME
from ledger.names import Key
from ledger.receipt import Outcome, Status
from models.registry.spec import Column
from models.scoring.table.faults import Unreadable
from models.scoring.table.limits import Limits
from tests.memory import MemoryBucket
from tests.unit.test_score import attempt_at
from tests.worker_fixtures import SPEC, dropped, scorer, table
from transport.bucket import get
from worker.scoring.predict import Stopwatch, predict
from worker.scoring.score import score_file
from worker.scoring.tally import Tally

KNOWN = replace(
    SPEC, columns=(Column("colour", is_text=True, known=("red", "blue", "NA")), *SPEC.columns[1:]), knows_texts=True
)


def counted(colours, spec=KNOWN, **options):
    tally = Tally()
    data = table([f"{n},{colour},1,30,no" for n, colour in enumerate(colours)])
    list(predict(io.BytesIO(data), scorer(spec), Stopwatch(), tally=tally, limits=Limits(**options)))
    return tally.unknown


def refused(colours, **options):
    with pytest.raises(Unreadable) as caught:
        counted(colours, **options)
    assert (caught.value.kind, caught.value.column) == ("unknown-texts", "colour")
    return str(caught.value)


def test_they_are_counted_and_blanks_gaps_and_known_texts_are_not():
    assert counted(["red", " red ", "Red", "", "None", "NA", "green", "blue"]) == {"colour": 2}


def test_over_the_blocks_of_a_file():
    colours = ["red", "green"] * 500

    assert counted(colours, block_bytes=1024) == {"colour": 500}


def test_rows_with_an_error_count_as_nothing():
    tally = Tally()

    list(predict(io.BytesIO(table(["1,green,x,30,no", "2,red,1,30,no"])), scorer(KNOWN), Stopwatch(), tally=tally))

    assert (tally.unknown, tally.rejected.total()) == ({"colour": 0}, 1)


def test_a_column_of_any_text_is_not_counted():
    assert counted(["green"] * 9, replace(SPEC, knows_texts=True)) == {}


def test_of_a_version_that_nobody_knows_the_texts_of_nothing_is_said():
    assert counted(["green"] * 9, replace(SPEC, knows_texts=False)) is None


def test_a_file_of_unknown_texts_alone_is_rejected_and_names_some_and_some_known_ones():
    assert refused(["RED", "BLUE", "RED", "", "RED", "RED"]) == (
        "colour: none of 5 texts is known ('RED', 'BLUE'); known: 'red', 'blue', 'NA'"
    )


def test_fewer_than_five_say_nothing_of_a_file():
    assert counted(["RED"] * 4) == {"colour": 4}


def test_a_share_may_be_set():
    assert counted(["green", *["red"] * 9], max_unknown=0.2) == {"colour": 1}
    assert refused(["green", "grey", *["red"] * 8], max_unknown=0.2).startswith("colour: only 8 of 10 texts are known")


def test_the_receipt_has_the_count():
    bucket = MemoryBucket()
    event = dropped(bucket, "a.csv", table([f"{n},{'green' if n % 2 else 'red'},1,30,no" for n in range(10)]))

    claim = score_file(bucket, attempt_at(event), scorer(KNOWN))

    outcome = Outcome.from_json(claim.metadata[OUTCOME])
    assert (outcome.status, outcome.unknown) == (Status.SCORED, {"colour": 5})
    assert json.loads(outcome.to_json())["unknown"] == {"colour": 5}
    assert get(bucket, Key("a.csv", event.generation).claim).count(b"\n") == 11
