"""The evidence of precision and F1: ratios of counts, whose difference no single row bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from models.evidence.figures.measures.asymptotic import Moments, asymptotic_looks, file_moments
from models.evidence.figures.measures.series import grown_files, grown_rows
from models.evidence.figures.sequence import Looks
from models.evidence.record.exact import Floats, Integers

PARTS = 5  # per class: rows that production calls so and rightly so, calls so; the same of staging; rows that are so
_CHUNK = 2_000_000  # influences that are held at once

Answers = tuple[Integers, Integers, Integers]  # the true class, production's and staging's, of each of M cells
Ratio = Callable[[Floats], tuple[Floats, Floats]]


@dataclass(frozen=True)
class RatioSeries:
    """`counts` [F, M]: rows per file in each cell of answers; `parts` [M, 5 K]: what a row of it adds (`parts_of`)."""

    labelled: Integers
    counts: csr_array
    parts: csr_array
    ratio: Ratio

    def looks(self, unit: str, error: float) -> Looks:
        moments = self._by_file() if unit == "file" else self._by_row()
        return asymptotic_looks(unit, self.labelled, moments, error, 1.0)

    def grown(self, unit: str, times: float) -> RatioSeries:
        if unit == "file":
            again = np.resize(np.arange(len(self.labelled)), grown_files(len(self.labelled), times))
            return RatioSeries(self.labelled[again], self.counts[again], self.parts, self.ratio)
        counts = np.rint(self.counts.sum(axis=0) * times).astype(np.int64)
        return RatioSeries(grown_rows(self.labelled, times), csr_array(counts[None]), self.parts, self.ratio)

    def _files(self) -> Floats:
        return np.asarray((self.counts @ self.parts).toarray(), dtype=np.float64)

    def _by_file(self) -> Moments:
        files = self._files()
        return file_moments(*self.ratio(np.cumsum(files, axis=0)), files)

    def _by_row(self) -> Moments:
        difference, gradient = self.ratio(np.cumsum(self._files(), axis=0))
        bears = np.asarray(self.parts.sum(axis=1)) > 0
        found: list[list[Floats]] = [[], [], []]
        so_far = np.zeros(self.counts.shape[1])
        step = max(1, _CHUNK // max(1, so_far.size))
        for start in range(0, len(self.labelled), step):
            counts = so_far + np.cumsum(self.counts[start : start + step].toarray(), axis=0)
            so_far = counts[-1]
            for part, sums in zip(found, row_sums(counts, gradient[start : start + step], self.parts), strict=True):
                part.append(sums)
        powers = (np.concatenate(part) if part else np.zeros(0) for part in found)
        return Moments(np.cumsum(self.counts @ bears).astype(np.float64), difference, *powers)


def row_sums(counts: Floats, gradient: Floats, parts: csr_array) -> tuple[Floats, Floats, Floats]:
    """Sums over rows of their influences' powers 2, 3 and 4. `counts` [..., M] so far; `gradient` [..., 5 K]."""
    influences = (parts @ gradient.reshape(-1, gradient.shape[-1]).T).T.reshape(counts.shape)
    squares = np.square(influences)
    return tuple((counts * powers).sum(axis=-1) for powers in (squares, squares * influences, np.square(squares)))


def parts_of(answers: Answers, classes: Sequence[int]) -> csr_array:
    """[M, 5 K] of K classes: what a row of each cell counts for, by PARTS first."""
    true, first, second = (np.asarray(each)[:, None] == np.asarray(classes) for each in answers)
    columns = (true & first, first, true & second, second, true)
    return csr_array(np.concatenate(columns, axis=1).astype(np.float64))


def precision(totals: Floats) -> tuple[Floats, Floats]:
    """Staging's precision less production's, and its derivatives by `totals` [..., 5]; nought where there are none."""
    right_p, said_p, right_s, said_s, _ = np.moveaxis(totals, -1, 0)
    ours, theirs = _over(right_s, said_s), _over(right_p, said_p)
    none = np.zeros(ours.shape)
    slopes = (-_over(1.0, said_p), _over(theirs, said_p), _over(1.0, said_s), -_over(ours, said_s), none)
    return ours - theirs, np.stack(slopes, axis=-1)


def f1(totals: Floats) -> tuple[Floats, Floats]:
    """Staging's F1 less production's, the mean over K classes, and its derivatives by `totals` [..., 5 K].

    Of a class F1 = 2 right / (said + are); nought where there are none, as scikit-learn's `zero_division=0`.
    """
    by_class = totals.reshape(*totals.shape[:-1], PARTS, totals.shape[-1] // PARTS)
    right_p, said_p, right_s, said_s, are = np.moveaxis(by_class, -2, 0)
    theirs, ours = _over(2 * right_p, said_p + are), _over(2 * right_s, said_s + are)
    of_theirs, of_ours = _over(theirs, said_p + are), _over(ours, said_s + are)
    slopes = (
        -_over(2.0, said_p + are),
        of_theirs,
        _over(2.0, said_s + are),
        -of_ours,
        of_theirs - of_ours,
    )
    gradient = np.stack(slopes, axis=-2) / by_class.shape[-1]
    return (ours - theirs).mean(axis=-1), gradient.reshape(totals.shape)


def _over(part: Floats | float, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) > 0)
