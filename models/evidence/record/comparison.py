"""The comparison record: what one or many files say about a production and a staging version, in numbers that add up.

It holds counts, exact sums and fixed-bin histograms only, so that merging the records of any split of the rows, in any
order, gives bit for bit the record of one pass. The worker writes one per file; `models compare` merges them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.evidence.record import bins
from models.evidence.record.columns import UNLABELLED, Cells, Counted, Levels, Unknown, row_places
from models.evidence.record.confidence import Confidence
from models.evidence.record.exact import Floats, Integers, exact_sum, exact_sums_by_bin
from models.evidence.record.files import FileFigures, FileHeader, Files
from models.evidence.record.identity import hashes
from models.evidence.record.judged import Judged
from models.evidence.record.pair import Incomparable, Pair, Predictions, Texts, codes, pair_of
from models.evidence.record.scores import LOSSES, SUMS, brier, log_loss, summed_scores
from models.evidence.record.sketch import Sketch
from models.registry.spec import ModelSpec
from models.scoring.table.cells import Coded

__all__ = ["Comparison", "FileHeader", "Incomparable", "Pair", "Predictions"]

SCHEMA = "understudy.comparison"
SCHEMA_VERSION = 1
ROWS = ("read", "failed_production", "failed_staging", "failed_both", "unlabelled", "unknown_label")
_TABLES = ("agreement", "paired", "confusion", "difference", "scores", "joint", "calibration")
_PAIRED_SUMS = tuple(f"{loss}.{name}" for loss in LOSSES for name in SUMS)
_SUMS = (*_PAIRED_SUMS, "difference", "difference_squared", "seconds.production", "seconds.staging")


class Comparison:
    """A file's rows grow it by `add`, the records of files by `take` and `merge`. Read it, don't change its parts.

    `rows` [6]: see ROWS; a row that either model could not score, or whose label is unknown, counts there and in
    nothing that needs it. `agreement` [K, K]: production's class by staging's. `paired` [4]: OUTCOMES of
    the columns beside it. `confusion` [2, K, K]: production's and staging's tables, the true class by the predicted.
    `difference` [2000]: histogram of staging's minus production's probability. `scores` [2, 3, 4096] per model and
    target (false, true, unknown). `joint` [2, J, J]: production's score by staging's, target false and true.
    `calibration` [2, 10, 2]: per model and tenth, rows and those with a true target; `calibration_sums` [2][10]: exact
    sums of their scores. `confidence`: of both models in their answers. `judged`: what the measures need of labelled
    rows. `sums`: exact sums by name. `inputs`: per column counts in the bins of `pair.training`. `slices`: per column
    its Levels. `identified`: rows that have an id; `ids`: a sample of those of labelled rows. `unknown`: rows with
    texts that a version was never shown; the caller adds to it. `files`: those taken; no part of what is written.

    Score and target: with two classes the positive class's probability, and whether the row is of that class. With
    more, the probability of the model's own predicted class, and whether that was right; the difference is then that
    of the probabilities which both give to production's class, and `joint` stays empty.
    """

    def __init__(self, pair: Pair, file: FileHeader | None = None) -> None:
        k = len(pair.classes)
        self.pair = pair
        self.file = file
        self.first_event = self.last_event = file.event_time.astimezone(UTC) if file else None
        self.rows: Integers = np.zeros(len(ROWS), dtype=np.int64)
        self.agreement: Integers = np.zeros((k, k), dtype=np.int64)
        self.paired: Integers = np.zeros(4, dtype=np.int64)
        self.confusion: Integers = np.zeros((2, k, k), dtype=np.int64)
        self.difference: Integers = np.zeros(bins.DIFFERENCE_BINS, dtype=np.int64)
        self.scores: Integers = np.zeros((2, 3, bins.SCORE_BINS), dtype=np.int64)
        self.joint: Integers = np.zeros((2, bins.JOINT_BINS, bins.JOINT_BINS), dtype=np.int64)
        self.calibration: Integers = np.zeros((2, bins.CALIBRATION_BINS, 2), dtype=np.int64)
        self.calibration_sums = [[0] * bins.CALIBRATION_BINS for _ in range(2)]
        self.confidence = Confidence()
        self.judged = Judged()
        self.sums = dict.fromkeys(_SUMS, 0)
        self.inputs = {name: np.zeros(len(known.counts), dtype=np.int64) for name, known in pair.training.items()}
        self.slices = {name: Levels() for name in pair.columns}
        self.identified = 0
        self.ids = Sketch()
        self.unknown = Unknown()
        self.files = Files()

    @classmethod
    def start(cls, production: ModelSpec, staging: ModelSpec, file: FileHeader | None = None) -> Comparison:
        """An empty record of the pair; `pair.left_out` says what cannot be compared.

        Raises Incomparable where the classes differ.
        """
        return cls(pair_of(production, staging), file)

    def add(
        self,
        production: Predictions,
        staging: Predictions,
        truth: Texts | None = None,
        columns: Mapping[str, Cells | Coded] | None = None,
        ids: npt.NDArray[Any] | pa.Array | None = None,
    ) -> None:
        """Adds a batch of N rows.

        `ids` [N], "" where a row has none (None: no row has); `truth` [N]: the true classes, None or "" where a row has
        none (None: no row has); `columns`: the input cells of all N rows by column: str or None, float64 with NaN.
        Columns that the pair does not know are ignored. Raises ValueError where lengths differ.
        """
        n, classes = len(production.labels), self.pair.classes
        columns = {name: cells for name, cells in (columns or {}).items() if name in self.pair.columns}
        lengths = {n, len(staging.labels), len(production.probabilities), len(staging.probabilities)}
        lengths |= {len(cells) for cells in columns.values()}
        lengths |= {len(cells) for cells in (truth, ids) if cells is not None}
        if lengths != {n}:
            raise ValueError(f"a batch of rows in lengths that differ: {sorted(lengths)}")
        code_of: dict[Any, int] = {label: code for code, label in enumerate(classes)}
        first, second = codes(production.labels, code_of), codes(staging.labels, code_of)
        p = np.clip(production.probabilities, 0.0, 1.0)
        s = np.clip(staging.probabilities, 0.0, 1.0)[:, list(self.pair.staging_order)]
        failed_p = (first < 0) | ~np.isfinite(p).all(axis=1)
        failed_s = (second < 0) | ~np.isfinite(s).all(axis=1)
        true = np.full(n, -1, dtype=np.int64) if truth is None else codes(truth, code_of | {"": -1}, -2)
        ok = ~failed_p & ~failed_s
        failures = (failed_p & ~failed_s, failed_s & ~failed_p, failed_p & failed_s)
        unusable = (ok & (true == -1), ok & (true == -2))
        self.rows[:] += [n, *(int(rows.sum()) for rows in (*failures, *unusable))]
        self._add_answers(first[ok], second[ok], p[ok], s[ok], true[ok])
        if ids is not None:
            found, known = hashes(ids.to_pylist() if isinstance(ids, pa.Array) else ids)
            self.identified += int(known.sum())
            self.ids.add_hashes(found[known & ok & (true >= 0)])
        outcome = np.where(true < 0, UNLABELLED, 3 - 2 * (first == true) - (second == true))
        # 3 - 2·right - right: 0 both, 1 only production, 2 only staging, 3 neither
        self._add_columns(columns, ok, first == second, outcome.astype(np.int64))
        for side, model in (("production", production), ("staging", staging)):
            self.sums[f"seconds.{side}"] += exact_sum(np.array([model.seconds]))

    def _add_answers(self, first: Integers, second: Integers, p: Floats, s: Floats, true: Integers) -> None:
        rows, k = np.arange(first.size), len(self.pair.classes)
        np.add.at(self.agreement, (first, second), 1)
        if k == 2:
            positive = self.pair.classes.index(self.pair.positive)
            p, s = (_of_two(model[:, positive], positive) for model in (p, s))
            scores = (p[:, positive], s[:, positive])
            targets = (np.where(true < 0, 2, true == positive),) * 2
            change = scores[1] - scores[0]
        else:
            scores = (p[rows, first], s[rows, second])
            targets = (np.where(true < 0, 2, true == first), np.where(true < 0, 2, true == second))
            change = s[rows, first] - p[rows, first]
        np.add.at(self.difference, bins.difference_bin(change), 1)
        self.sums["difference"] += exact_sum(change)
        self.sums["difference_squared"] += exact_sum(change**2)
        known = true >= 0
        for model, (score, target, predicted) in enumerate(zip(scores, targets, (first, second), strict=True)):
            np.add.at(self.scores[model], (target, bins.score_bin(score)), 1)
            self.confidence.add(model, (p, s)[model][rows, predicted], predicted, true)
            tenth = bins.calibration_bin(score[known])
            self.calibration[model, :, 0] += np.bincount(tenth, minlength=bins.CALIBRATION_BINS)
            true_tenth = tenth[target[known] == 1]
            self.calibration[model, :, 1] += np.bincount(true_tenth, minlength=bins.CALIBRATION_BINS)
            sums = exact_sums_by_bin(tenth, score[known], bins.CALIBRATION_BINS)
            self.calibration_sums[model] = [a + b for a, b in zip(self.calibration_sums[model], sums, strict=True)]
        if k == 2:
            cells = (targets[0][known], bins.joint_bin(scores[0][known]), bins.joint_bin(scores[1][known]))
            np.add.at(self.joint, cells, 1)
        right, sides = true[known], (p[known], s[known])
        of_rows = [[score(side, right) for side in sides] for score in (log_loss, brier)]
        for name, losses in zip(LOSSES, of_rows, strict=True):
            for part, value in summed_scores(*losses).items():
                self.sums[f"{name}.{part}"] += value
        judged = Judged.of(k, (right, first[known], second[known]), of_rows[0])
        self.judged.merge(judged)
        right, *answers = judged.answers(k)
        for model, predicted in enumerate(answers):
            np.add.at(self.confusion[model], (right, predicted), judged.counts)
        np.add.at(self.paired, 3 - 2 * (answers[0] == right) - (answers[1] == right), judged.counts)

    def _add_columns(
        self,
        columns: Mapping[str, Cells | Coded],
        ok: npt.NDArray[np.bool_],
        agree: npt.NDArray[np.bool_],
        outcome: Integers,
    ) -> None:
        place = row_places(ok, agree, outcome)
        for name, cells in columns.items():
            known, levels = self.pair.training.get(name), self.slices[name]
            if known is None and levels.levels is None:
                continue
            counted = Counted.of(Coded.of(cells), place)
            if known is not None:
                self.inputs[name] += known.count(counted)
            levels.count(counted, self.pair.columns[name], known.categories if known else None)

    def take(self, record: Comparison) -> None:
        """Adds one file's record, unless `passes_over` it. Raises Incomparable where it is of another pair."""
        if not self.passes_over(record):
            self.merge(record)
            positive = record.pair.classes.index(record.pair.positive)
            tables = record.paired, record.agreement, record.scores
            figures = FileFigures.of(record.file, *tables, positive, record.judged, record.sums)
            self.files.add(figures, record.identified > 0)

    def passes_over(self, record: Comparison) -> bool:
        """True where its rows have counted; a copy is then noted in `files`, each once."""
        return self.files.passes_over(record.file, int(record.rows[0]), record.identified > 0)

    def merge(self, other: Comparison) -> None:
        """Adds another record of the same pair. Raises Incomparable where it is of another."""
        if not self.pair.same_as(other.pair):
            raise Incomparable(f"a record of {other.pair} does not add to one of {self.pair}, or their columns differ")
        self.file = self.file if self.file == other.file else None
        firsts = [at for at in (self.first_event, other.first_event) if at is not None]
        lasts = [at for at in (self.last_event, other.last_event) if at is not None]
        self.first_event, self.last_event = min(firsts, default=None), max(lasts, default=None)
        for name in ("rows", *_TABLES):
            table: Integers = getattr(self, name)
            table += getattr(other, name)
        for name, value in other.sums.items():
            self.sums[name] += value
        for mine, theirs in zip(self.calibration_sums, other.calibration_sums, strict=True):
            mine[:] = [a + b for a, b in zip(mine, theirs, strict=True)]
        self.confidence.merge(other.confidence)
        self.judged.merge(other.judged)
        for name, counts in self.inputs.items():
            counts += other.inputs[name]
        for name, levels in self.slices.items():
            levels.merge(other.slices[name])
        self.identified += other.identified
        self.ids.merge(other.ids)
        self.unknown.merge(other.unknown)
        self.files.merge(other.files)

    def to_json(self) -> dict[str, Any]:
        """The record as plain data (SCHEMA, SCHEMA_VERSION); `from_json` reads it.

        `rows` by name; `tables` as {"at": cells of the flattened table, "counts"}; `sums` and `calibration_sums` are
        integers in units of 2^-40; `inputs` per column; `slices` per column; times are ISO 8601, UTC.
        """
        header = None
        if self.file is not None:
            header = {**vars(self.file), "event_time": self.file.event_time.astimezone(UTC).isoformat()}
        return {
            "schema": SCHEMA,
            "version": SCHEMA_VERSION,
            "pair": self.pair.to_json(),
            "file": header,
            "first_event": self.first_event.isoformat() if self.first_event else None,
            "last_event": self.last_event.isoformat() if self.last_event else None,
            "rows": dict(zip(ROWS, self.rows.tolist(), strict=True)),
            "tables": {name: bins.to_sparse(getattr(self, name)) for name in _TABLES},
            "sums": dict(self.sums),
            "calibration_sums": self.calibration_sums,
            "confidence": self.confidence.to_json(),
            "judged": self.judged.to_json(),
            "inputs": {name: counts.tolist() for name, counts in self.inputs.items()},
            "slices": {name: levels.to_json() for name, levels in self.slices.items()},
            "identified": self.identified,
            "ids": self.ids.to_json(),
            "unknown": self.unknown.to_json(),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Comparison:
        """What `to_json` gave. Raises ValueError where it is something else, or of another version of the format."""
        if fields.get("schema") != SCHEMA or fields.get("version") != SCHEMA_VERSION:
            found = f"{fields.get('schema')} version {fields.get('version')}"
            raise ValueError(f"not a comparison record of version {SCHEMA_VERSION} ({found})")
        try:
            header = fields["file"] and FileHeader(
                **{**fields["file"], "event_time": _time(fields["file"]["event_time"])}
            )
            record = cls(Pair.from_json(fields["pair"]), header)
            record.first_event, record.last_event = _time(fields["first_event"]), _time(fields["last_event"])
            record.rows[:] = [fields["rows"][name] for name in ROWS]
            for name in _TABLES:
                table: Integers = getattr(record, name)
                table[...] = bins.from_sparse(fields["tables"][name], table.shape)
            record.sums = {name: int(fields["sums"][name]) for name in _SUMS}
            record.calibration_sums = [[int(value) for value in sums] for sums in fields["calibration_sums"]]
            for name, counts in record.inputs.items():
                counts[:] = fields["inputs"][name]
            for name, levels in fields["slices"].items():
                record.slices[name] = Levels.from_json(levels)
            if "ids" in fields:  # not in records of before these were kept
                record.identified, record.ids = int(fields["identified"]), Sketch.from_json(fields["ids"])
                record.unknown = Unknown.from_json(fields["unknown"])
            record.confidence = Confidence.from_json(fields.get("confidence"))
            record.judged = Judged.from_json(fields.get("judged"), len(record.pair.classes))
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"a damaged comparison record: {error!r}") from None
        return record


def _of_two(probability: Floats, positive: int) -> Floats:
    # The other class's probability is what the outputs leave to one, so that figures worked out from them are the same.
    both = np.empty((probability.size, 2))
    both[:, positive], both[:, 1 - positive] = probability, 1 - probability
    return both


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
