"""The verdict by the measure that was asked for, and by every guard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.evidence.figures.measures import wording
from models.evidence.figures.measures.guards import Guard, GuardState
from models.evidence.figures.measures.named import ACCURACY, yardstick
from models.evidence.figures.measures.yardstick import Yardstick
from models.evidence.figures.sequence import Looks
from models.evidence.figures.terms import Terms
from models.evidence.figures.verdict import Kind, Verdict, decide
from models.evidence.record.comparison import Comparison
from models.evidence.record.files import FileFigures


@dataclass(frozen=True)
class GuardAnswer:
    """What is known of one guard, and since which look."""

    guard: Guard
    by: Yardstick
    looks: Looks
    state: GuardState
    look: int | None

    def __str__(self) -> str:
        known = {
            GuardState.MET: "is no worse than",
            GuardState.BROKEN: "is worse by more than",
            GuardState.OPEN: "is not yet known to be no worse than",
        }
        borne = wording.borne(self.by, self.guard.borne)
        return f"{self.by.title} {known[self.state]} {borne}{wording.asymptotic(self.looks)}"


@dataclass(frozen=True)
class Judgement:
    """The verdict, the looks by the measure that led to it, what the guards say, and notes on what could not answer."""

    verdict: Verdict
    by: Yardstick
    looks: Looks
    guards: tuple[GuardAnswer, ...]
    notes: tuple[str, ...]


def judge(whole: Comparison, files: Sequence[FileFigures], terms: Terms) -> Judgement:
    """By the files in order of event time. Raises BadMeasure where the pair cannot be measured so."""
    by = yardstick(terms.measure, whole.pair, terms.costs)
    margin = by.margin if terms.margin is None else terms.margin
    verdict, looks = decide(by.series(files), unit=terms.unit, margin=margin, error=terms.error)
    if terms.measure != ACCURACY:
        verdict = replace(verdict, by=f"{by.title}{wording.asymptotic(looks)}", shares=by.shares)
    guards = []
    for guard in terms.guards:
        of = yardstick(guard.measure, whole.pair, terms.costs)
        found = of.series(files).looks(terms.unit, terms.error)
        guards.append(GuardAnswer(guard, of, found, *guard.state(found)))
    measures = {each.name: each for each in (by, *(guard.by for guard in guards))}.values()
    notes = tuple(note for each in measures if (note := _left_out(each, files)))
    return Judgement(_guarded(verdict, guards), by, looks, tuple(guards), notes)


def _guarded(verdict: Verdict, guards: Sequence[GuardAnswer]) -> Verdict:
    if not guards or verdict.kind is Kind.PRODUCTION:
        return verdict
    broken = [str(guard) for guard in guards if guard.state is GuardState.BROKEN]
    if broken:
        known = [str(verdict)] if verdict.look is not None else []
        return replace(verdict, kind=Kind.GUARD, look=None, more_rows=None, reason="; ".join((*known, *broken)))
    if verdict.look is None:
        return verdict
    unsure = [str(guard) for guard in guards if guard.state is GuardState.OPEN]
    if unsure:
        reason = "; ".join((str(verdict), *unsure))
        return replace(verdict, kind=Kind.NOT_YET, look=None, reason=reason)
    return replace(verdict, look=max(verdict.look, *(guard.look or 0 for guard in guards)))


def _left_out(by: Yardstick, files: Sequence[FileFigures]) -> str:
    silent = [file for file in files if not by.answers(file)]
    if not silent:
        return ""
    rows = sum(file.labelled for file in silent)
    counted = f"{len(silent):,} files" if len(silent) > 1 else "1 file"
    return (
        f"Not in the evidence by {by.title}: {rows:,} labelled rows, in {counted} whose records were made before they "
        f"kept what it takes. `python -m publisher rescore NAME` scores a file again and makes such a record."
    )
