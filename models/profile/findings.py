"""What stands out in an analysis, as sentences: what a person should look at before training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from models.profile.analysis import Analysis

GIVES_AWAY = 0.95
NEAR_CERTAIN = 0.98
CORRELATED = 0.9
RARE_CLASS = 0.1
_MOST_NEAR_CERTAIN = 5


def findings(analysis: Analysis) -> list[str]:
    """The sentences, the ones that can spoil a model first."""
    return [
        *_give_away(analysis),
        *_drifted(analysis),
        *_unequal_columns(analysis),
        *_rare_classes(analysis),
        *_gaps(analysis),
        *_copies(analysis),
        *_correlated(analysis),
        *_near_certain(analysis),
    ]


def _give_away(analysis: Analysis) -> Iterator[str]:
    for column in analysis.columns:
        if (column.association or 0) > GIVES_AWAY:
            yield (
                f"{column.name} almost gives the label away (Cramér's V {column.association:.2f}): make sure that "
                f"it is known when a prediction is asked for"
            )


def _drifted(analysis: Analysis) -> Iterator[str]:
    for drift in analysis.comparison.drifts if analysis.comparison else ():
        if drift.grade != "stable":
            yield f"{drift.name} drifted: PSI {drift.psi:.3f}, {drift.grade} ({drift.most_moved})"


def _unequal_columns(analysis: Analysis) -> Iterator[str]:
    compared = analysis.comparison
    if compared and compared.only_first:
        yield f"the second file lacks {', '.join(compared.only_first)}"
    if compared and compared.only_second:
        yield f"only the second file has {', '.join(compared.only_second)}"


def _rare_classes(analysis: Analysis) -> Iterator[str]:
    if analysis.label is not None:
        for name, rows in zip(analysis.classes, analysis.class_rows, strict=True):
            if rows < RARE_CLASS * analysis.rows:
                yield f"{name} is rare: {rows:,} rows ({rows / analysis.rows:.1%}); accuracy alone will mislead"


def _gaps(analysis: Analysis) -> Iterator[str]:
    for column in analysis.columns:
        if column.gaps:
            yield f"{column.name} has {column.gaps:,} gaps ({_share(column.gaps, analysis.rows)})"
        if column.unreadable:
            yield f"{column.name} has {column.unreadable:,} cells that are no number, counted as gaps"


def _copies(analysis: Analysis) -> Iterator[str]:
    if analysis.copies:
        share = _share(analysis.copies, analysis.rows)
        yield f"{analysis.copies:,} rows ({share}) repeat an earlier one, identifiers aside"


def _correlated(analysis: Analysis) -> Iterator[str]:
    names = analysis.correlated
    for left, right, r in strongest_pairs(analysis):
        if abs(r) >= CORRELATED:
            yield f"{names[left]} and {names[right]} say nearly the same (r = {r:.2f})"


def _near_certain(analysis: Analysis) -> Iterator[str]:
    if analysis.label is None:
        return
    found: list[tuple[int, str]] = []
    for column in analysis.columns:
        if column.kind == "number":
            continue
        rows = column.counts.sum(axis=1)
        for at in np.flatnonzero(rows >= max(30, 0.01 * analysis.rows)):
            most = int(column.counts[at].argmax())
            share = column.counts[at, most] / rows[at]
            if share >= NEAR_CERTAIN and rows[at] < analysis.rows:
                sentence = (
                    f"{column.name} = {column.bins.names[at]}: {_percent(share)} {analysis.classes[most]} "
                    f"({rows[at]:,} rows)"
                )
                found.append((int(rows[at]), sentence))
    yield from (sentence for _, sentence in sorted(found, reverse=True)[:_MOST_NEAR_CERTAIN])


def strongest_pairs(analysis: Analysis) -> list[tuple[int, int, float]]:
    """Every pair of correlated columns (two indices, r), the strongest first."""
    matrix = analysis.correlation
    rows, columns = np.tril_indices(len(matrix), -1)
    pairs = [(int(a), int(b), float(matrix[a, b])) for a, b in zip(rows, columns, strict=True)]
    return sorted((pair for pair in pairs if not np.isnan(pair[2])), key=lambda pair: -abs(pair[2]))


def _share(part: int, whole: int) -> str:
    return _percent(part / whole)


def _percent(share: float) -> str:
    """A share as a percentage that is never rounded to 0 or 100."""
    if 0 < share < 0.001:
        return "under 0.1 %"
    if 0.999 < share < 1:
        return "over 99.9 %"
    return f"{share:.1%}".replace("%", " %")
