"""The measures: what each needs of a file's figures, which way is better, and what difference matters by default."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from models.evidence.figures.measures.losses import LossSeries
from models.evidence.figures.measures.ratios import Ratio, RatioSeries, parts_of
from models.evidence.figures.measures.series import CountSeries, Series
from models.evidence.record.comparison import Comparison
from models.evidence.record.exact import Floats, Integers, as_float
from models.evidence.record.files import FileFigures
from models.evidence.record.judged import LARGEST_LOSS, SMALLEST_LOSS, Judged

Files = Sequence[FileFigures]
NO_ANSWERS = Judged()


@dataclass(frozen=True)
class Yardstick(ABC):
    """One measure of a pair with `classes` classes.

    `name`: as it is asked for; `title`: in words; `shares`: figures are shares, and differences points; `margin`: the
    difference that matters, where none is asked for.
    """

    name: str
    title: str
    classes: int
    margin: float = 0.005
    shares: bool = True
    lower_is_better: bool = False

    @property
    def reach(self) -> float:
        """Every difference lies within ± this."""
        return 1.0

    def answers(self, file: FileFigures) -> bool:
        """True where the file's record can answer; those of before `judged` was kept cannot, as a rule."""
        return file.judged.rows == file.labelled

    @abstractmethod
    def series(self, files: Files) -> Series:
        """The evidence of F files in order of event time; a file that cannot answer counts as one without labels."""

    @abstractmethod
    def figures(self, whole: Comparison) -> tuple[float, float]:
        """Production's and staging's figure over all rows that can answer."""

    def labelled(self, files: Files) -> Integers:
        """[F] labelled rows that can answer."""
        return np.array([file.labelled if self.answers(file) else 0 for file in files], dtype=np.int64)

    def judged(self, file: FileFigures) -> Judged:
        """What is known of the file's labelled rows; nothing where it cannot answer."""
        return file.judged if self.answers(file) else NO_ANSWERS


class Accuracy(Yardstick):
    """The share of rows that are right."""

    def answers(self, file: FileFigures) -> bool:
        return True

    def series(self, files: Files) -> CountSeries:
        won, lost, rows = (
            np.array([getattr(file, part) for file in files], dtype=np.int64) for part in ("won", "lost", "labelled")
        )
        return CountSeries(won, lost, rows, rows)

    def figures(self, whole: Comparison) -> tuple[float, float]:
        both, only_production, only_staging, _ = whole.paired.tolist()
        rows = max(1, int(whole.paired.sum()))
        return (both + only_production) / rows, (both + only_staging) / rows


@dataclass(frozen=True)
class Recall(Yardstick):
    """The share of a class's rows that are found: accuracy among these. `of`: the class's place."""

    of: int = 0

    def series(self, files: Files) -> CountSeries:
        counts = np.array([self._counts(self.judged(file)) for file in files], dtype=np.int64).reshape(-1, 3)
        return CountSeries(counts[:, 0], counts[:, 1], counts[:, 2], self.labelled(files))

    def _counts(self, judged: Judged) -> list[int]:
        true, first, second = judged.answers(self.classes)
        asked, found_p, found_s = true == self.of, first == self.of, second == self.of
        won, lost = asked & found_s & ~found_p, asked & found_p & ~found_s
        return [int(judged.counts[rows].sum()) for rows in (won, lost, asked)]

    def figures(self, whole: Comparison) -> tuple[float, float]:
        first, second = (_recall(table, self.of) for table in confusions(whole.judged, self.classes))
        return first, second


class LossMeasure(Yardstick):
    """A loss per row. `sums` gives the sum of production's loss minus staging's, and that of its squares."""

    @abstractmethod
    def sums(self, file: FileFigures) -> tuple[float, float]:
        """Of a file that can answer."""

    def series(self, files: Files) -> LossSeries:
        sums = [self.sums(file) if self.answers(file) else (0.0, 0.0) for file in files]
        total, squares = np.array(sums, dtype=np.float64).reshape(-1, 2).T
        return LossSeries(self.labelled(files), total, squares, self.reach)


class LogLoss(LossMeasure):
    """Minus the logarithm of the true class's probability, clipped (`models.evidence.record.judged`)."""

    @property
    def reach(self) -> float:
        return LARGEST_LOSS - SMALLEST_LOSS

    def sums(self, file: FileFigures) -> tuple[float, float]:
        production, staging, squared = map(as_float, file.judged.clipped)
        return production - staging, squared

    def figures(self, whole: Comparison) -> tuple[float, float]:
        rows = max(1, whole.judged.rows)
        return as_float(whole.judged.clipped[0]) / rows, as_float(whole.judged.clipped[1]) / rows


class Brier(LossMeasure):
    """The squared distance of the probabilities from the truth; every record knows it."""

    def answers(self, file: FileFigures) -> bool:
        return True

    @property
    def reach(self) -> float:
        return 1.0 if self.classes == 2 else 2.0

    def sums(self, file: FileFigures) -> tuple[float, float]:
        difference, squared = map(as_float, file.brier)
        return -difference, squared

    def figures(self, whole: Comparison) -> tuple[float, float]:
        rows = max(1, int(whole.paired.sum()))
        return as_float(whole.sums["brier.production"]) / rows, as_float(whole.sums["brier.staging"]) / rows


@dataclass(frozen=True)
class CostPerRow(LossMeasure):
    """`matrix`: what each predicted class costs, by true class; negative numbers are earned."""

    matrix: tuple[tuple[float, ...], ...] = ()

    @property
    def reach(self) -> float:
        return float(np.ptp(np.array(self.matrix), axis=1).max())

    def sums(self, file: FileFigures) -> tuple[float, float]:
        true, first, second = file.judged.answers(self.classes)
        costs = np.array(self.matrix)
        difference = costs[true, first] - costs[true, second]
        counts = file.judged.counts
        return float(counts @ difference), float(counts @ np.square(difference))

    def figures(self, whole: Comparison) -> tuple[float, float]:
        costs, rows = np.array(self.matrix), max(1, whole.judged.rows)
        first, second = (float((table * costs).sum() / rows) for table in confusions(whole.judged, self.classes))
        return first, second


@dataclass(frozen=True)
class RatioMeasure(Yardstick):
    """Precision of one class, or F1. `of`: the places of the classes that it is the mean of."""

    of: tuple[int, ...] = ()
    ratio: Ratio | None = None

    def series(self, files: Files) -> RatioSeries:
        assert self.ratio is not None  # noqa: S101 - a dataclass has its defaults before its own fields
        answered = [self.judged(file) for file in files]
        sizes = [each.at.size for each in answered]
        at = np.concatenate([each.at for each in answered]) if answered else NO_ANSWERS.at
        counts = np.concatenate([each.counts for each in answered]) if answered else NO_ANSWERS.counts
        cells, place = np.unique(at, return_inverse=True)
        rows = np.repeat(np.arange(len(answered)), sizes)
        table = csr_array((counts, (rows, place)), shape=(len(answered), cells.size))
        parts = parts_of(Judged(cells, cells).answers(self.classes), self.of)
        return RatioSeries(self.labelled(files), table, parts, self.ratio)

    def figures(self, whole: Comparison) -> tuple[float, float]:
        assert self.ratio is not None  # noqa: S101 - as above
        judged = whole.judged
        totals = judged.counts @ parts_of(judged.answers(self.classes), self.of)
        found = []
        for side in (0, 1):  # against a model that is never right the difference is the figure
            alone = np.array(totals, dtype=np.float64).reshape(5, -1)
            alone[2 - 2 * side] = 0
            found.append(abs(float(self.ratio(alone.ravel())[0])))
        return found[0], found[1]


def confusions(judged: Judged, classes: int) -> tuple[Floats, Floats]:
    """Production's and staging's table [K, K], the true class by the predicted."""
    true, *answers = judged.answers(classes)
    tables = np.zeros((2, classes, classes))
    for table, predicted in zip(tables, answers, strict=True):
        np.add.at(table, (true, predicted), judged.counts)
    return tables[0], tables[1]


def _recall(table: Floats, of: int) -> float:
    rows = table[of].sum()
    return float(table[of, of] / rows) if rows else 0.0
