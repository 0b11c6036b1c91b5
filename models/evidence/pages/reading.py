"""How the evidence of a report is to be read, by the measure that decides."""

from __future__ import annotations

from models.evidence.figures.summary import ByMeasure, Summary
from models.evidence.pages import words
from models.evidence.record.judged import CLIP, LARGEST_LOSS


def says(summary: Summary) -> str:
    """A paragraph of text."""
    evidence = summary.evidence
    by, chance = evidence.measure, f"{50 * evidence.error:g}"
    threshold = words.evidence(evidence.threshold)
    margin = f"{100 * evidence.margin:g} points" if by.shares else f"{evidence.margin:g}"
    return (
        f"{_bet(summary)} the stake ever grows to {threshold} with a probability of at most {chance} % "
        f"({_source(summary)}), so that one may look, and stop, at any time. \N{LEFT DOUBLE QUOTATION MARK}No "
        f"difference\N{RIGHT DOUBLE QUOTATION MARK} is said once the confidence sequence lies within ±{margin}."
    )


def _bet(summary: Summary) -> str:
    by, unit = summary.evidence.measure, summary.evidence.unit
    if by.name == "accuracy" or by.name.startswith("recall:"):
        among = "" if by.name == "accuracy" else f" of the class {by.name.partition(':')[2]}"
        rows = "rows" if unit == "row" else "rows of a file"
        return (
            f"A labelled row{among} is discordant where only one model is right. The evidence (an e-value) is what a "
            f"stake of 1 becomes by betting that one model wins more than half of the discordant {rows}: where it does "
            f"not,"
        )
    return (
        f"The evidence (an e-value) is what a stake of 1 becomes by betting that one model has the "
        f"{'lower' if by.lower_is_better else 'higher'} {by.title}, {unit} by {unit}{_clipped(by)}: where it has not,"
    )


def _clipped(by: ByMeasure) -> str:
    if by.name != "log-loss":
        return ""
    return (
        f" (a true class's probability is taken as {CLIP:g} at least, so that a row costs at most {LARGEST_LOSS:.2f})"
    )


def _source(summary: Summary) -> str:
    if summary.evidence.measure.asymptotic:
        return "asymptotic: in large samples, on which the bounds wait"
    return "Ville's inequality"
