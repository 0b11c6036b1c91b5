"""From the verdict and its looks to what a report says of them."""

from __future__ import annotations

from collections.abc import Sequence

from models.evidence.figures.judge import GuardAnswer, Judgement
from models.evidence.figures.measures import wording
from models.evidence.figures.measures.guards import GuardState
from models.evidence.figures.measures.yardstick import Yardstick
from models.evidence.figures.sequence import Looks, log_threshold
from models.evidence.figures.summary import ByMeasure, Evidence, GuardFigures, Look
from models.evidence.figures.terms import Terms
from models.evidence.record.comparison import Comparison
from models.evidence.record.files import FileFigures


def evidence_of(
    judgement: Judgement, whole: Comparison, files: Sequence[FileFigures], terms: Terms, overdispersion: float | None
) -> Evidence:
    """`files`: in order of event time, one per look."""
    return Evidence(
        verdict=judgement.verdict,
        sentence=_sentence(judgement),
        unit=terms.unit,
        margin=judgement.verdict.margin,
        error=terms.error,
        threshold=log_threshold(terms.error),
        measure=_measured(judgement.by, judgement.looks, whole),
        guards=tuple(_guard(guard, whole) for guard in judgement.guards),
        looks=_looks(files, judgement.looks),
        overdispersion=overdispersion,
    )


def _measured(by: Yardstick, looks: Looks, whole: Comparison) -> ByMeasure:
    known = looks.rows.size and looks.rows[-1]
    figures = by.figures(whole) if known else (None, None)
    return ByMeasure(by.name, by.title, by.shares, by.lower_is_better, looks.asymptotic, *figures)


def _guard(answer: GuardAnswer, whole: Comparison) -> GuardFigures:
    looks, reach = answer.looks, answer.by.reach
    last = (looks.difference[-1], looks.low[-1], looks.high[-1]) if looks.rows.size else (0.0, -reach, reach)
    measure = _measured(answer.by, looks, whole)
    return GuardFigures(measure, -answer.guard.borne, answer.state, str(answer), *map(float, last))


def _sentence(judgement: Judgement) -> str:
    looks, by = judgement.looks, judgement.by
    text = str(judgement.verdict)[0].upper() + str(judgement.verdict)[1:]
    if not looks.rows.size or not looks.rows[-1]:
        return f"{text}."
    low, high = float(looks.low[-1]), float(looks.high[-1])
    sure = f"between {wording.interval(by, low, high)}" if low > -by.reach or high < by.reach else "not yet bounded"
    now = wording.difference(by, float(looks.difference[-1]))
    now = f"less production's is {now} points" if by.shares else f"is {now} than production's"
    met = "; ".join(str(guard) for guard in judgement.guards if guard.state is GuardState.MET)
    kept = f" Guards that are met: {met}." if met else ""
    return (
        f"{text}. Over {int(looks.rows[-1]):,} labelled rows staging's {by.title} {now}, {sure} at every look"
        f"{wording.asymptotic(looks)}.{kept}"
    )


def _looks(files: Sequence[FileFigures], looks: Looks) -> tuple[Look, ...]:
    return tuple(
        Look(
            file=file.name,
            event_time=file.event_time,
            rows=int(looks.rows[at]),
            difference=float(looks.difference[at]),
            low=float(looks.low[at]),
            high=float(looks.high[at]),
            log_e_staging=float(looks.for_staging[at]),
            log_e_production=float(looks.for_production[at]),
        )
        for at, file in enumerate(files)
    )
