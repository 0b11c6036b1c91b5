"""A file through a model: a row's answer depends on that row alone, and every row keeps its place."""

from __future__ import annotations

import io
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.receipt import MAX_LISTED_ERRORS
from models.registry.client import PRODUCTION, STAGING, Registry
from models.scoring.scorer import BLOCK_ROWS, LARGER, SMALLER, Scorer
from models.scoring.table.limits import Limits, Unreadable
from tests.registry import MODEL
from tests.worker_fixtures import SPEC, scorer, survey, table
from worker.processes.scoring_process import load
from worker.scoring import write
from worker.scoring.predict import Stopwatch, predict
from worker.scoring.tally import Tally


def output(data, model, **options):
    """What would be written for this file, as lines without the header."""
    rows = [write.rows(model.spec, p) for p in predict(io.BytesIO(data), model, Stopwatch(), **options)]
    return b"".join(rows).splitlines()


def answers(lines):
    """The lines without their row numbers."""
    return [line.partition(b",")[2] for line in lines]


@pytest.fixture(scope="module")
def tiny_models(tiny_registry: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scorer]:
    """The forest and the boosting of the tiny registry, as they serve."""
    registry, cache = Registry(tiny_registry, MODEL), tmp_path_factory.mktemp("cache")
    aliases = registry.aliases()
    return {
        kind: prepared(load(registry.fetch(aliases[alias], cache)))
        for kind, alias in (("forest", PRODUCTION), ("boosting", STAGING))
    }


def prepared(model: Scorer) -> Scorer:
    """The same as it serves: in large blocks as well."""
    model.prepare()
    return model


@pytest.fixture(scope="module")
def flights() -> bytes:
    """A survey of 1,500 synthetic rows, some of them with gaps and some spoiled."""
    from models.training.airline import sample

    lines = sample.survey(1_500, 11).to_csv(index=False).splitlines()
    choose = random.Random(5)
    for at in choose.sample(range(1, len(lines)), 60):
        lines[at] = choose.choice([lines[at].rpartition(",")[0], lines[at] + ",x", "x" + lines[at], ","])
    return ("\n".join(lines) + "\n").encode()


def assert_pieces_give_the_same(data: bytes, model: Scorer) -> None:
    whole = output(data, model)
    header, *lines = data.splitlines(keepends=True)
    assert len(whole) == len(lines)

    # In twenty pieces of odd sizes
    cuts = sorted(random.Random(3).sample(range(1, len(lines)), 19))
    pieces = [lines[a:b] for a, b in zip([0, *cuts], [*cuts, len(lines)], strict=True)]
    in_pieces = [line for piece in pieces for line in output(header + b"".join(piece), model)]
    assert answers(in_pieces) == answers(whole)

    # Read in blocks of any size
    for block_bytes in (2_000, 4_097, 50_000):
        assert output(data, model, limits=Limits(block_bytes=block_bytes)) == whole


@pytest.mark.parametrize("kind", ["forest", "boosting"])
def test_a_file_in_pieces_and_in_blocks_of_any_size_gives_the_same_bytes(tiny_models, flights, kind):
    assert_pieces_give_the_same(flights, tiny_models[kind])


def assert_rows_are_answered_alone(data: bytes, model: Scorer) -> None:
    # Given the rows as the model gets them
    columns: dict[str, list[np.ndarray]] = {}
    for predicted in predict(io.BytesIO(data), model, Stopwatch()):
        for name, cells in predicted.columns.items():
            columns.setdefault(name, []).append(cells.cells)
    cells = {name: np.concatenate(parts) for name, parts in columns.items()}
    count = len(next(iter(cells.values())))
    whole = model.score(cells)

    def check(order: np.ndarray) -> None:
        scores = model.score({name: column[order] for name, column in cells.items()})
        assert scores.probabilities.tobytes() == whole.probabilities[order].tobytes()
        assert scores.labels.tolist() == whole.labels[order].tolist()

    # When they come in any order, alone, repeated, and in batches of any size, then each has the same answer
    choose = np.random.default_rng(7)
    check(choose.permutation(count))
    check(np.arange(count)[::-1])
    for size in (*SMALLER, BLOCK_ROWS, *LARGER):
        check(choose.integers(0, count, size + 17))
    for size in (1, 2, 3, 7, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1, 3 * BLOCK_ROWS):
        start = int(choose.integers(0, count - size))
        check(np.arange(start, start + size))
    check(np.array([], dtype=np.int64))


@pytest.mark.parametrize("kind", ["forest", "boosting"])
def test_a_row_has_the_same_answer_among_any_others(tiny_models, flights, kind):
    assert_rows_are_answered_alone(flights, tiny_models[kind])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_network_gives_the_same_in_pieces_and_among_any_others(tmp_path: Path, flights):
    from models.training.airline.dataset import synthetic_dataset
    from models.training.airline.training import train_and_register
    from models.training.tracking import Tracking
    from tests.unit.registered import new_registry

    uri = new_registry(tmp_path)
    training, test = synthetic_dataset(1500, seed=1), synthetic_dataset(300, seed=2)
    made = train_and_register("network", training, test, Tracking(uri), MODEL, who="tests", epochs=2)
    model = prepared(load(Registry(uri, MODEL).fetch(made.version, tmp_path / "cache")))

    assert_pieces_give_the_same(flights, model)
    assert_rows_are_answered_alone(flights, model)


FORMS = {
    "good": b"%d,red,1.5,30,yes",
    "short": b"%d,red",
    "long": b"%d,red,1,2,3,4,5",
    "bad cell": b"%d,red,1_5,30,no",
    "latin": b"%d,r\xe9d,1.5,30,no",
    "blank": b"",
}
TINY = scorer()


@given(st.lists(st.sampled_from(sorted(FORMS)), max_size=60), st.sampled_from([256, 400, 1_000, 1 << 20]))
@settings(max_examples=50)
def test_every_row_keeps_its_place_with_an_answer_or_a_reason(kinds, block_bytes):
    # Given a file of good and spoiled rows, of which one at least is good
    kinds = [*kinds, "good"]
    lines = [FORMS[kind] % n if kind != "blank" else b"" for n, kind in enumerate(kinds)]
    data = b"id,colour,weight,age,label\n" + b"".join(line + b"\n" for line in lines)
    kinds = [(n, kind) for n, kind in enumerate(kinds) if kind != "blank"]

    # When it goes through the model
    found = output(data, TINY, limits=Limits(block_bytes=block_bytes))

    # Then there is a line for each row, in order
    assert len(found) == len(kinds)
    for row, (line, (n, kind)) in enumerate(zip(found, kinds, strict=True), 1):
        if kind == "good":
            assert line.startswith(b"%d,%d,yes,0.622" % (row, n))
            assert line.endswith(b",")
        else:
            has_id = n if kind in ("bad cell", "latin") else ""
            assert line.startswith(f"{row},{has_id},,,".encode())
            reason = {"bad cell": b"weight: is not a number", "latin": b"colour: is not UTF-8"}.get(kind, b"fields")
            assert reason in line


def test_the_reasons_name_column_and_row():
    lines = ["1,red,x,30,no", "2,red", "3,red,1,,no", "4,red,x,y,no", "id,colour,weight,age,label", "6,,NA, ,no"]
    data = table([*lines, "M\x1a7,red,1,30,no", "8,red,1,30,no"])

    [predicted] = predict(io.BytesIO(data), scorer(), Stopwatch())

    assert [(at, fault.kind, fault.column, fault.message) for at, fault in sorted(predicted.faults.items())] == [
        (0, "cell", "weight", "is not a number: 'x'"),
        (1, "fields", None, "has 2 fields, the header has 5"),
        (2, "cell", "age", "is not a whole number; this model takes no gap here"),
        (3, "cell", "weight", "is not a number: 'x'"),
        (4, "header-again", None, "is the header again"),
        (5, "empty", None, "holds nothing: each column that the model takes is a gap"),
        (6, "encoding", "id", "is not UTF-8 text"),
    ]
    assert predicted.error_texts[0] == "weight: is not a number: 'x'"
    assert predicted.error_texts[1] == "has 2 fields, the header has 5"
    assert predicted.labels.tolist()[:7] == [None] * 7
    assert np.isnan(predicted.probabilities[:7]).all()
    assert predicted.labels[7] is not None


def test_a_file_of_which_no_row_could_be_scored_is_refused_with_the_first_reasons():
    with pytest.raises(Unreadable) as caught:
        list(predict(io.BytesIO(table(["1,red,x,30,no", "2,red"])), scorer(), Stopwatch()))

    assert caught.value.kind == "no-row"
    assert str(caught.value) == (
        "none of the 2 rows could be scored: row 1, column 'weight' is not a number: 'x'; "
        "row 2 has 2 fields, the header has 5"
    )


def test_a_file_of_another_encoding_is_told_to_name_it():
    data = table([f"Müller {n},red,1,30,no" for n in range(3)]).decode().encode("cp1252")

    with pytest.raises(Unreadable) as caught:
        list(predict(io.BytesIO(data), scorer(), Stopwatch()))

    assert caught.value.kind == "encoding"
    assert str(caught.value).endswith("save it as UTF-8, or name its encoding (UNDERSTUDY_ENCODING)")
    [predicted] = predict(io.BytesIO(data), scorer(), Stopwatch(), limits=Limits(encoding="cp1252"))
    assert predicted.ids.tolist() == ["Müller 0", "Müller 1", "Müller 2"]


def test_a_row_for_which_the_model_gives_no_probability_is_an_error_not_a_label():
    # Given a number so large that the model's own sums overflow
    data = table(["1,red,1e308,30,no", "2,red,1,20,no"])

    [predicted] = predict(io.BytesIO(data), scorer(), Stopwatch())

    assert predicted.labels.tolist() == [None, "yes"]
    assert predicted.faults[0].kind == "model"
    assert predicted.faults[0].message.startswith("the model gives no probability")


def test_ids_and_labels_are_given_where_the_file_has_them():
    [predicted] = predict(io.BytesIO(survey(3)), scorer(), Stopwatch(), truth_column="label")
    assert (predicted.ids.tolist(), predicted.truth.cells.tolist()) == (["0", "1", "2"], ["no", "yes", "no"])

    [bare] = predict(io.BytesIO(table(["red,1,2"], "colour,weight,age")), scorer(), Stopwatch(), truth_column="label")
    assert (bare.ids, bare.truth) == (None, None)

    nameless = scorer(replace(SPEC, id_column=None))
    assert [p.ids for p in predict(io.BytesIO(survey(3)), nameless, Stopwatch())] == [None]


def test_a_file_that_cannot_be_scored_as_a_whole_is_told_so():
    with pytest.raises(Unreadable, match="lacks 'weight'"):
        list(predict(io.BytesIO(b"id,colour,age\n1,red,3\n"), scorer(), Stopwatch()))


def test_a_header_without_rows_gives_no_predictions():
    assert output(survey(0), scorer()) == []


def test_the_tally_counts_all_rows_and_lists_the_first_errors():
    data = table([f"{n},red,{'x' if n % 2 else 1},30,no" for n in range(400)])
    tally = Tally()

    list(predict(io.BytesIO(data), scorer(), Stopwatch(), tally=tally, limits=Limits(block_bytes=1024)))

    assert (tally.rows, tally.rejected) == (400, {"cell": 200})
    assert [error.row for error in tally.errors] == list(range(2, 2 + 2 * MAX_LISTED_ERRORS, 2))


def test_each_step_is_timed():
    watch = Stopwatch()

    list(predict(io.BytesIO(survey(10)), scorer(), watch))

    assert set(watch.seconds) == {"read", "validate", "score"}
    assert all(seconds >= 0 for seconds in watch.seconds.values())
