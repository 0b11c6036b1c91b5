"""Guards: what staging must not be worse at. A verdict and a promotion need all of them, and each is shown."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from models.evidence.figures.judge import judge
from models.evidence.figures.measures.bad_measure import BadMeasure
from models.evidence.figures.measures.guards import Guard
from models.evidence.figures.measures.named import MeasureName
from models.evidence.figures.sequence import log_threshold
from models.evidence.figures.summarise import summarise
from models.evidence.figures.terms import Terms
from models.evidence.figures.verdict import Kind
from models.evidence.judging.question import missing_for_promotion
from models.evidence.pages import report, terminal
from models.evidence.pages.registry_page import points_of, verdict_block, verdict_tags
from models.evidence.record.comparison import Comparison
from tests.unit.evidence.measured import Rows
from tests.unit.evidence.test_measures import MEASURES
from tests.unit.evidence.test_measures import terms as of_measure


def terms(*guards: str, measure: str = "log-loss") -> Terms:
    return Terms(measure=MeasureName.parse(measure), guards=tuple(map(Guard.parse, guards)))


@pytest.fixture(scope="module")
def whole() -> Comparison:
    """Staging has the lower log loss by far, and misses a class that production finds."""
    rows = Rows(9, 20_000, better=1.0)
    rows.answers[1][(rows.truth == 1) & (rows.said[1][:, 1] < 0.7)] = 0
    return rows.files(20)


def test_a_verdict_takes_every_guard(whole: Comparison) -> None:
    files = whole.files.in_order()

    alone = judge(whole, files, terms())
    met = judge(whole, files, terms("recall:a:-5"))
    unsure = judge(whole, files, terms("recall:a:-5", "accuracy:-4.2"))
    broken = judge(whole, files, terms("recall:a:-5", "recall:b:-1"))

    assert alone.verdict.kind is met.verdict.kind is Kind.STAGING
    assert met.guards[0].state == "met"
    assert [guard.state for guard in unsure.guards] == ["met", "open"]
    assert str(unsure.verdict) == (
        "not yet: staging is better by log loss; accuracy is not yet known to be no worse than 4.2 points"
    )
    assert broken.verdict.kind is Kind.GUARD
    assert (
        str(broken.verdict)
        == "a guard is broken: staging is better by log loss; recall of b is worse by more than 1 point"
    )
    for judged in (unsure, broken):
        assert judged.verdict.look is None


def test_promotion_takes_them_too(whole: Comparison) -> None:
    assert missing_for_promotion(summarise(whole, terms=terms("recall:a:-5")), no_worse=False) is None
    for guards in (("accuracy:-4.2",), ("recall:b:-1",)):
        for no_worse in (False, True):
            assert missing_for_promotion(summarise(whole, terms=terms(*guards)), no_worse=no_worse)


def test_the_error_is_shared_among_the_measure_and_the_guards(whole: Comparison) -> None:
    files = whole.files.in_order()
    shared = summarise(whole, terms=terms("recall:a:-5", "accuracy:-4.2", "f1:-9")).evidence

    assert shared.error == pytest.approx(0.05 / 4)
    assert shared.threshold == pytest.approx(log_threshold(0.05 / 4))
    alone = judge(whole, files, terms(measure="accuracy")).looks
    guarded = judge(whole, files, terms("accuracy:-6")).guards[0].looks
    assert guarded.low[-1] < alone.low[-1]
    assert guarded.high[-1] > alone.high[-1]


def test_where_production_is_better_no_guard_is_needed(whole: Comparison) -> None:
    assert judge(whole, whole.files.in_order(), terms("f1:-1", measure="accuracy")).verdict.kind is Kind.PRODUCTION


def shown(whole: Comparison) -> dict[str, str]:
    summary = summarise(whole, terms=terms("recall:b:-1", "precision:b:-2"))
    console = Console(width=200, record=True, file=StringIO())
    console.print(terminal.render(summary))
    return {
        "terminal": console.export_text(),
        "page": report.render(summary),
        "registry": verdict_block(summary, "link"),
    }


def test_each_guard_is_shown_with_its_bounds_and_what_is_asymptotic_is_said_to_be(whole: Comparison) -> None:
    for place, text in shown(whole).items():
        assert "recall of b is worse by more than 1 point" in text, place
        assert "(asymptotic)" in text, place
        assert "ecision of b" in text, place
        if place != "registry":
            assert text.count("broken") >= 2, place
    summary = summarise(whole, terms=terms("recall:b:-1", "precision:b:-2"))
    said = {guard["measure"]["name"]: guard for guard in summary.to_json()["evidence"]["guards"]}
    assert said["precision:b"]["measure"]["asymptotic"] is True
    assert said["recall:b"]["measure"]["asymptotic"] is False
    assert said["recall:b"]["at_least"] == -0.01
    assert said["recall:b"]["low"] < said["recall:b"]["difference"] < said["recall:b"]["high"] < -0.01
    assert verdict_tags(summary, "r")["understudy.verdict.by"] == "log-loss"


def test_a_report_speaks_of_the_measure_and_its_direction(whole: Comparison) -> None:
    text = shown(whole)["page"]

    assert "Difference in log loss" in text
    assert "lower than production" in text
    assert "Difference in accuracy" not in text
    assert "has the lower log loss, row by row" in text


def test_the_next_step_is_on_the_same_terms(whole: Comparison) -> None:
    text = report.render(summarise(whole, terms=terms("recall:a:-5", "log-loss:-0.5", measure="log-loss")))

    assert "promote staging --if-better --measure log-loss --guard recall:a:-5 --guard log-loss:-0.5<" in text


@pytest.mark.parametrize(
    "text", ["accuracy", "accuracy:0.5", "accuracy:x", "accuracy:nan", "accuracy:-inf", "recall:-1", "", ":-1", "x:-1"]
)
def test_what_is_no_guard_is_refused(text: str) -> None:
    with pytest.raises(BadMeasure, match=r"is no guard: write|is no measure: write"):
        Guard.parse(text)


@pytest.mark.parametrize("text", ["accuracy:-0.5", "recall:a:b:-1", "log-loss:-0.01", "f1:0", "precision:very good:-2"])
def test_a_guard_is_written_as_it_is_read(text: str) -> None:
    assert str(Guard.parse(text)).replace(":-0", ":0", 1) == text.replace(":-0", ":0", 1)


def test_a_class_with_an_odd_name_harms_no_page() -> None:
    rows = Rows(9, 2_000, better=1.0)
    rows.names = ("a", "<b>\x1b[31m`*x*`/../" + "y" * 300)
    whole = rows.files(4)
    summary = summarise(whole, terms=terms(f"recall:{rows.names[1]}:-1", measure=f"precision:{rows.names[1]}"))

    console = Console(width=200, record=True, file=StringIO())
    console.print(terminal.render(summary))
    assert "\x1b" not in console.export_text()
    assert "<b>" not in report.render(summary)
    assert "\\<b\\>" in verdict_block(summary, "link")
    for name, *_ in points_of(summary, whole.files.in_order(), {}, 0.0):
        assert len(name) <= 250
        assert set(name.lower()) <= set("abcdefghijklmnopqrstuvwxyz0123456789_. "), name


@pytest.mark.parametrize("unit", [pytest.param("row", marks=pytest.mark.slow), "file"])
@pytest.mark.parametrize("measure", MEASURES)
def test_without_labels_or_without_the_class_no_figure_is_made_up(measure: str, unit: str) -> None:
    rows = Rows(9, 40)
    nothing = Comparison(rows.record().pair)
    unlabelled, other_class = Comparison(rows.record().pair), Comparison(rows.record().pair)
    unlabelled.take(rows.record(1, slice(0, 0)))
    unlabelled.take(rows.record(2, slice(0, 0)))
    rows.truth[:] = 0
    for answers in rows.answers:
        answers[:] = 0
    other_class.take(rows.record(1))

    for whole in (nothing, unlabelled, other_class):
        asked = replace(of_measure(measure, rows, unit), guards=(Guard.parse("f1:-1"), Guard.parse("recall:b:-1")))
        evidence = summarise(whole, terms=asked).evidence

        assert (evidence.measure.production is None) == (whole is not other_class)
        assert evidence.verdict.kind is Kind.NOT_YET
        assert {guard.state for guard in evidence.guards} == {"open"}
        for look in evidence.looks:
            assert np.isfinite([look.difference, look.low, look.high, look.log_e_staging]).all()
