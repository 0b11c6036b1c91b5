"""`--measure`, `--guard` and `--cost` of compare, promote and watch: from the command line and the environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ledger.names import COMPARISONS
from models.evidence.figures.measures.costs import Costs
from models.evidence.figures.measures.named import MeasureName
from models.evidence.figures.terms import Terms
from models.evidence.judging.watcher import Watcher
from models.evidence.pages.registry_page import VERDICT_TAG, RegistryPage
from models.registry.client import Registry
from tests.unit.evidence.conftest import Run, Summary
from tests.unit.evidence.house import House, answered, registry
from tests.unit.registered import MODEL
from transport.bucket import get, put

COSTS = '{"no": {"no": 0, "yes": 1}, "yes": {"no": 5, "yes": -2}}'


@pytest.fixture
def scored(house: House) -> House:
    for number in range(3):
        house.drop(f"{number}.csv", answered(range(300 * number, 300 * number + 300)))
    return house


@pytest.mark.parametrize("measure", ["log-loss", "brier", "cost", "recall:yes", "precision:no", "f1"])
def test_the_verdict_is_by_the_measure_in_every_form(
    scored: House, run: Run, summary: Summary, tmp_path: Path, capsys: pytest.CaptureFixture[str], measure: str
) -> None:
    page = tmp_path / "report.html"

    evidence = summary("--measure", measure, "--cost", COSTS, "--html", str(page))["evidence"]

    assert evidence["measure"]["name"] == measure
    assert evidence["looks"][-1]["rows"] == 900
    assert run("compare", "--measure", measure, "--cost", COSTS) == 0
    terminal = capsys.readouterr().out
    for text in (terminal, page.read_text()):
        assert evidence["measure"]["title"] in text
        assert ("asymptotic" in text) == evidence["measure"]["asymptotic"]


def test_measure_and_guards_may_stand_in_the_environment(
    scored: House, summary: Summary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNDERSTUDY_MEASURE", "recall:yes")
    monkeypatch.setenv("UNDERSTUDY_GUARD", "accuracy:-0.5, recall:no:-1,log-loss:-0.01")

    evidence = summary()["evidence"]

    assert evidence["measure"]["name"] == "recall:yes"
    assert [guard["measure"]["name"] for guard in evidence["guards"]] == ["accuracy", "recall:no", "log-loss"]
    assert [guard["at_least"] for guard in evidence["guards"]] == [-0.005, -0.01, -0.01]


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        (("--measure", "acuracy"), 2, "--measure (or UNDERSTUDY_MEASURE): Value error, 'acuracy' is no measure: write"),
        (("--guard", "accuracy"), 2, "--guard (or UNDERSTUDY_GUARD): Value error, 'accuracy' is no guard: write"),
        (("--guard", "f1:-1,f1:-2"), 2, "f1 is guarded twice"),
        (("--measure", "recall:maybe"), 1, "recall:maybe: 'maybe' is none of the classes"),
        (("--guard", "recall:maybe:-1"), 1, "recall:maybe: 'maybe' is none of the classes"),
        (("--measure", "cost"), 1, "the measure cost takes --cost"),
        (("--measure", "cost", "--cost", COSTS.replace("5", "true")), 1, "--cost, row 'yes', column 'no': True is no"),
        (("--margin", "0"), 2, "--margin"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(
    scored: House, run: Run, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], status: int, says: str
) -> None:
    capsys.readouterr()
    assert run("compare", *options) == status
    told = capsys.readouterr().err
    assert says in told
    assert len(told.splitlines()) == 1


def test_promote_takes_the_measure_and_every_guard(
    scored: House, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = Registry(registry(tmp_path), MODEL)
    for options, missing in (
        (("--guard", "recall:no:-0.01"), "recall of no is not yet known to be no worse than 0.01 points"),
        (("--measure", "cost"), "the measure cost takes --cost"),
        (("--measure", "recall:maybe"), "is none of the classes"),
    ):
        assert run("promote", "staging", "--if-better", *options) == 3
        assert missing in capsys.readouterr().err
        assert known.resolve("production") == "1"

    assert run("promote", "staging", "--if-better", "--measure", "cost", "--cost", COSTS, "--guard", "accuracy:-1") == 0

    assert known.resolve("production") == "2"
    capsys.readouterr()
    assert run("history", "--json") == 0
    why = [move["why"] for move in json.loads(capsys.readouterr().out) if move["alias"] == "production"][-1]
    assert "Staging is better by cost per row." in why
    assert "accuracy is no worse than 1 point" in why


def test_the_registry_says_by_which_measure(scored: House, tmp_path: Path) -> None:
    known = Registry(registry(tmp_path), MODEL)
    terms = Terms(measure=MeasureName("cost"), costs=Costs.read(COSTS))

    assert Watcher(scored.bucket, known, RegistryPage(known), terms).look()

    version = known.client.get_model_version(MODEL, "2")
    assert version.tags[VERDICT_TAG] == "staging is better by cost per row"
    assert version.tags[f"{VERDICT_TAG}.by"] == "cost"
    assert "cost per row" in version.description
    metrics = known.client.get_run(version.tags[f"{VERDICT_TAG}.run"]).data.metrics
    assert metrics["cost_better_by_low"] > 0
    assert "accuracy_difference" not in metrics


def test_a_pair_without_the_class_is_left_and_the_watch_goes_on(scored: House, tmp_path: Path) -> None:
    known = Registry(registry(tmp_path), MODEL)

    assert Watcher(scored.bucket, known, RegistryPage(known), Terms(measure=MeasureName("recall", "maybe"))).look()

    assert VERDICT_TAG not in (known.client.get_model_version(MODEL, "2").tags or {})


def test_records_of_before_measures_were_kept_say_what_to_do(scored: House, summary: Summary) -> None:
    for info in list(scored.bucket.objects(COMPARISONS))[:2]:
        record = json.loads(get(scored.bucket, info.name))
        del record["judged"]
        put(scored.bucket, info.name, json.dumps(record).encode())

    assert summary()["evidence"]["looks"][-1]["rows"] == 900
    data = summary("--measure", "f1")
    assert data["evidence"]["looks"][-1]["rows"] == 300
    (note,) = [note for note in data["notes"] if "F1" in note]
    assert "600 labelled rows, in 2 files" in note
