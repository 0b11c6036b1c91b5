"""How figures are written, in the terminal and in the report alike."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from math import exp, inf, log

from models.evidence.figures.measures import wording
from models.evidence.figures.statistics import Estimate
from models.evidence.figures.summary import ByMeasure, Summary
from models.evidence.record.judged import CLIP

MEASURES = {
    "accuracy": "Accuracy",
    "auc": "AUC",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "calibration_error": "Expected calibration error",
}
PERCENT = frozenset({"accuracy"})
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "calibration_error"})
NONE = "–"
INTERVAL = "95 %"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def percent(value: float | None, digits: int = 2) -> str:
    """A share as per cent."""
    return NONE if value is None else f"{100 * value:.{digits}f} %"


def points(value: float, digits: int = 2) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * value:+z.{digits}f}"


def bounds(estimate: Estimate, *, signed: bool = False, shares: bool = False) -> str:
    """An estimate's interval."""
    if estimate.low is None or estimate.high is None:
        return NONE
    return f"{_figure(estimate.low, signed, shares)} to {_figure(estimate.high, signed, shares)}"


def figure(estimate: Estimate | None, *, signed: bool = False, shares: bool = False) -> str:
    """An estimate's value."""
    return NONE if estimate is None else _figure(estimate.value, signed, shares)


def _figure(value: float, signed: bool, shares: bool) -> str:
    if shares:
        return points(value) if signed else percent(value)
    return f"{value:+z.4f}" if signed else f"{value:.4f}"


def evidence(log_e: float) -> str:
    """An e-value from its natural logarithm: what a stake of 1 has become by betting that a model is better."""
    if log_e in (-inf, inf):  # beyond what a double can hold
        return "×0" if log_e < 0 else "×∞"
    power = log_e / log(10)
    if abs(power) >= 4:
        return f"×10{str(round(power)).translate(_RAISED)}"
    value = exp(log_e)
    return f"×{value:,.0f}" if value >= 10 else f"×{value:.2g}"


def duration(seconds: float) -> str:
    """Seconds in a fitting unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns" if seconds else NONE


def size(count: int | None) -> str:
    """Bytes in a fitting unit."""
    if count is None:
        return NONE
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count} B"


def moment(at: datetime | None) -> str:
    """A time to the minute, UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if at else NONE


def doubt(summary: Summary) -> str:
    """Why the verdict is not to be acted on; empty as a rule."""
    doubts = summary.seen_before.doubts
    return f"Not to be acted on: {'; '.join(doubts)}. The same rows are no new evidence." if doubts else ""


def count(rows: int | None) -> str:
    """A number of rows."""
    return NONE if rows is None else f"{rows:,}"


def measured(by: ByMeasure, value: float | None) -> str:
    """One model's figure."""
    if value is None:
        return NONE
    return percent(value) if by.shares else wording.number(value)


def judged_by(summary: Summary) -> list[tuple[str, str, str, str, str]]:
    """The measure that decides, where it is none that every report has: name, both figures, difference, bounds."""
    by = summary.evidence.measure
    if by.name in ("accuracy", "brier") or not summary.evidence.looks or not summary.measures:
        return []
    last = summary.evidence.looks[-1]
    between = f"at every look {wording.interval(by, last.low, last.high)}{wording.asymptotic(by)}"
    title = f"{by.title}, clipped at {CLIP:g}" if by.name == "log-loss" else by.title
    return [(sentence_case(title), *_both(by), wording.difference(by, last.difference), between)]


def guards(summary: Summary) -> list[tuple[str, ...]]:
    """Per guard: name, its state, what is borne, difference, bounds, both figures."""
    return [
        (
            sentence_case(each.measure.title),
            str(each.state),
            wording.borne(each.measure, -each.at_least),
            wording.difference(each.measure, each.difference),
            f"{wording.interval(each.measure, each.low, each.high)}{wording.asymptotic(each.measure)}",
            *_both(each.measure),
        )
        for each in summary.evidence.guards
    ]


GUARD_HEAD = ("", "", "no worse than", "difference", "at every look between", "production", "staging")


def _both(by: ByMeasure) -> tuple[str, str]:
    return measured(by, by.production), measured(by, by.staging)


def options(summary: Summary) -> str:
    """What a command takes to judge on the same terms; the costs are not repeated."""
    evidence = summary.evidence
    guards = [(each.measure, each.at_least * (100 if each.measure.shares else 1)) for each in evidence.guards]
    asked = [] if evidence.measure.name == "accuracy" else ["--measure", evidence.measure.name]
    asked += [word for by, least in guards for word in ("--guard", f"{by.name}:{least:g}")]
    asked += ["--cost", "COSTS"] if "cost" in {evidence.measure.name, *(by.name for by, _ in guards)} else []
    asked += ["--unit", evidence.unit] if evidence.unit != "row" else []
    return "".join(f" {shlex.quote(word)}" for word in asked)


def sentence_case(text: str) -> str:
    """With a capital."""
    return text[:1].upper() + text[1:]


def scope(summary: Summary) -> str:
    """What a comparison rests on."""
    rows = summary.rows
    failed = rows["failed_production"] + rows["failed_staging"] + rows["failed_both"]
    return (
        f"{summary.files:,} files, {moment(summary.first_event)} to {moment(summary.last_event)} UTC; "
        f"{rows['read']:,} rows, {rows['labelled']:,} labelled, {failed:,} not scored by both"
    )


ESTIMATED = (
    "An estimate from the models' own confidence, and never a reason to promote: it does not see where the answers "
    "themselves have changed."
)


def basis_of_estimate(summary: Summary) -> str:
    """Of how many rows the estimate without labels is, and what it was calibrated on."""
    found = summary.without_labels
    if found is None:
        return ""
    if not found.calibrated_on:
        return f"{found.rows:,} rows; too few labelled rows to calibrate on, so the models' own probabilities are taken"
    return f"{found.rows:,} rows, calibrated on {found.calibrated_on:,} labelled rows"
