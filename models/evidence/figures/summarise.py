"""From the records of one pair, file by file, to its summary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.evidence.figures.clusters import OVERDISPERSED, Slice, extremes, overdispersion, slices
from models.evidence.figures.drift import grade, jensen_shannon, psi, psi_by_chance
from models.evidence.figures.evidence import evidence_of
from models.evidence.figures.judge import judge
from models.evidence.figures.sequence import Looks
from models.evidence.figures.statistics import QUANTILES, kappa, mcnemar, mean, measures, quantiles, wilson
from models.evidence.figures.summary import (
    ColumnDrift,
    Cost,
    Period,
    ReliabilityBin,
    SeenBefore,
    Summary,
    UnknownTexts,
)
from models.evidence.figures.terms import Terms
from models.evidence.figures.without_labels import without_labels
from models.evidence.record import bins
from models.evidence.record.columns import OUTCOMES, TrainingBins
from models.evidence.record.comparison import ROWS, Comparison
from models.evidence.record.exact import Integers, as_float
from models.evidence.record.files import FileFigures
from models.evidence.record.sketch import Share
from models.evidence.record.training import UNKNOWN, Learned, Training
from models.registry.spec import Size

PERIODS = 30
UNKNOWN_SIZES = (Size(), Size())
USUAL_TERMS = Terms()
HISTOGRAM_BINS = 41
MOST_SEEN_BEFORE = 0.05  # of the labelled rows


def summarise(
    whole: Comparison,
    *,
    terms: Terms = USUAL_TERMS,
    sizes: tuple[Size, Size] = UNKNOWN_SIZES,
    learned: Learned = UNKNOWN,
) -> Summary:
    """The summary of one pair, of whose files `whole` has taken the records.

    `terms`: by which measure, and with which guards; the `sizes` are production's and staging's; `learned`: the data
    that both were fitted on. Raises BadMeasure where the pair cannot be measured so.
    """
    files, again = whole.files.in_order(), seen_before(whole, learned)
    won, lost, labelled = (
        np.array([getattr(file, part) for file in files], dtype=np.int64) for part in ("won", "lost", "labelled")
    )
    judgement = judge(whole, files, terms)
    dispersion = overdispersion(won, lost, labelled)
    compared = int(whole.agreement.sum())
    tested = slices(whole.slices.items())
    worst, best = extremes(tested)
    costs = [
        Cost(
            seconds_per_row=(seconds := as_float(whole.sums[f"seconds.{side}"])) / max(1, int(whole.rows[0])),
            seconds_per_file=seconds / max(1, len(files)),
            memory_bytes=sizes[at].memory_bytes,
            artifact_bytes=sizes[at].artifact_bytes,
        )
        for at, side in enumerate(("production", "staging"))
    ]
    return Summary(
        production=whole.pair.production,
        staging=whole.pair.staging,
        classes=whole.pair.classes,
        positive=whole.pair.positive,
        files=len(files),
        first_event=whole.first_event,
        last_event=whole.last_event,
        rows=_rows(whole),
        evidence=evidence_of(judgement, whole, files, terms, dispersion),
        seen_before=again,
        agreement=wilson(int(np.trace(whole.agreement)), compared) if compared else None,
        kappa=kappa(whole.agreement) if compared else None,
        agreement_table=_table(whole.agreement),
        probability_difference=mean(whole.sums["difference"], whole.sums["difference_squared"], compared)
        if compared
        else None,
        difference_quantiles=_quantiles(whole),
        difference_histogram=_coarse_difference(whole),
        measures=measures(whole),
        without_labels=without_labels(whole.confidence),
        mcnemar=mcnemar(int(whole.paired[2]), int(whole.paired[1])) if whole.paired.any() else None,
        paired=dict(zip(OUTCOMES, whole.paired.tolist(), strict=True)),
        confusion=tuple(_table(table) for table in whole.confusion),
        reliability=tuple(_reliability(whole, model) for model in range(2)),
        drift=tuple(_drift(name, whole.pair.training[name], seen) for name, seen in whole.inputs.items()),
        unknown=tuple(UnknownTexts(*each) for each in whole.unknown.columns()),
        periods=_periods(files),
        slices_tested=len(tested),
        slices_worst=worst,
        slices_best=best,
        slices=tested,
        production_cost=costs[0],
        staging_cost=costs[1],
        notes=(*_copies(again), *judgement.notes, *_notes(whole, judgement.looks, dispersion, tested)),
    )


def seen_before(whole: Comparison, learned: Learned) -> SeenBefore:
    """Estimated from the ids of the labelled rows, as far as the records keep them."""
    repeated = whole.ids.repeated()
    shares = [_learned(whole, training) for training in learned]
    doubts = []
    if repeated is not None and repeated.value > MOST_SEEN_BEFORE:
        doubts.append(f"{_percent(repeated)} of the labelled rows have an id that an earlier row had")
    for name, share in zip(("production", "staging"), shares, strict=True):
        if share is not None and share.value > MOST_SEEN_BEFORE:
            doubts.append(f"{name} was fitted on {_percent(share)} of the labelled rows")
    return SeenBefore(whole.files.copies, whole.files.copied_rows, repeated, shares[0], shares[1], tuple(doubts))


def _learned(whole: Comparison, training: Training) -> Share | None:
    """By ids; where either side has none, by files that are the training file byte for byte."""
    by_ids = None if training.ids is None else whole.ids.share_in(training.ids)
    if by_ids is not None or not training.sha256:
        return by_ids
    files = whole.files.in_order()
    labelled = sum(file.labelled for file in files)
    the_same = sum(file.labelled for file in files if file.file and file.file.sha256 == training.sha256)
    # That no file is the same does not say that no row is.
    return Share(the_same / labelled, 0.0, labelled) if the_same else None


def _percent(share: Share) -> str:
    spread = f" (± {200 * share.error:.1f})" if share.error else ""
    return f"{100 * share.value:.1f} %{spread}"


def _copies(again: SeenBefore) -> tuple[str, ...]:
    if not again.copies:
        return ()
    files = f"{again.copies:,} files" if again.copies > 1 else "1 file"
    return (f"Left out, as their content has counted already: {again.copied_rows:,} rows, in {files}.",)


def _rows(whole: Comparison) -> dict[str, int]:
    counted = dict(zip(ROWS, whole.rows.tolist(), strict=True))
    return {**counted, "compared": int(whole.agreement.sum()), "labelled": int(whole.paired.sum())}


def _table(counts: Integers) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row) for row in counts.tolist())


def _quantiles(whole: Comparison) -> dict[str, float]:
    if not whole.difference.any():
        return {}
    found = quantiles(whole.difference, bins.difference_edges())
    return {f"{level:g}": float(value) for level, value in zip(QUANTILES, found, strict=True)}


def _coarse_difference(whole: Comparison) -> tuple[int, ...]:
    middles = (bins.difference_edges()[1:] + bins.difference_edges()[:-1]) / 2
    coarse = np.floor((middles + 1) / 2 * HISTOGRAM_BINS).astype(np.int64)
    counts: Integers = np.zeros(HISTOGRAM_BINS, dtype=np.int64)
    np.add.at(counts, coarse, whole.difference)
    return tuple(counts.tolist())


def _reliability(whole: Comparison, model: int) -> tuple[ReliabilityBin, ...]:
    found = []
    for tenth, (rows, true) in enumerate(whole.calibration[model].tolist()):
        if rows:
            score = as_float(whole.calibration_sums[model][tenth]) / rows
            edges = tenth / bins.CALIBRATION_BINS, (tenth + 1) / bins.CALIBRATION_BINS
            found.append(ReliabilityBin(*edges, rows, score, wilson(true, rows)))
    return tuple(found)


def _drift(column: str, training: TrainingBins, seen: Integers) -> ColumnDrift:
    by_chance = psi_by_chance(training.counts, seen)
    value = psi(training.counts, seen)
    return ColumnDrift(
        column=column,
        psi=value,
        by_chance=by_chance,
        jensen_shannon=jensen_shannon(training.counts, seen),
        grade=grade(value, by_chance),
        bins=training.names(),
        training=training.counts,
        seen=tuple(seen.tolist()),
    )


def _periods(files: Sequence[FileFigures]) -> tuple[Period, ...]:
    first_scores: Integers | None = None
    found = []
    for part in np.array_split(np.arange(len(files)), max(1, min(PERIODS, len(files)))):
        some = [files[at] for at in part]
        if not some:
            continue
        scores = np.sum([file.scores for file in some], axis=0)
        if first_scores is None and scores.any():
            first_scores = scores
        reference = scores if first_scores is None else first_scores
        rows = sum(file.rows for file in some)
        times = [file.event_time for file in some if file.event_time]
        found.append(
            Period(
                first=min(times, default=None),
                last=max(times, default=None),
                files=len(some),
                rows=rows,
                production_share=sum(file.positive[0] for file in some) / max(rows, 1),
                staging_share=sum(file.positive[1] for file in some) / max(rows, 1),
                production_psi=psi(reference[0], scores[0]),
                staging_psi=psi(reference[1], scores[1]),
                psi_by_chance=max(psi_by_chance(reference[model], scores[model]) for model in range(2)),
            )
        )
    return tuple(found)


def _notes(whole: Comparison, looks: Looks, dispersion: float | None, tested: Sequence[Slice]) -> tuple[str, ...]:
    notes = [f"Left out: {reason}." for reason in whole.pair.left_out]
    if dispersion is not None and dispersion > OVERDISPERSED and looks.unit == "row":
        notes.append(
            f"Rows of one file hang together: the files differ {dispersion:.1f} times as much as independent rows "
            f"would (more than {OVERDISPERSED:g}), so evidence by rows is overstated. Compare with --unit file."
        )
    if looks.moved:
        notes.append("The difference changed over time: bounds of earlier and later files exclude each other.")
    rows = dict(zip(ROWS, whole.rows.tolist(), strict=True))
    if rows["unknown_label"]:
        classes = ", ".join(whole.pair.classes)
        notes.append(f"{rows['unknown_label']:,} rows have a label that names none of the classes {classes}.")
    fine = [name for name, levels in whole.slices.items() if levels.levels is None and whole.pair.columns[name]]
    if fine and tested:
        notes.append(f"Not sliced, for their many values: {', '.join(fine)}.")
    return tuple(notes)
