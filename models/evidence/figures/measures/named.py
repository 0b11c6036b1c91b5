"""From the name of a measure to what measures a pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.evidence.figures.measures.bad_measure import BadMeasure
from models.evidence.figures.measures.costs import Costs
from models.evidence.figures.measures.ratios import f1, precision
from models.evidence.figures.measures.yardstick import (
    Accuracy,
    Brier,
    CostPerRow,
    LogLoss,
    RatioMeasure,
    Recall,
    Yardstick,
)
from models.evidence.record.pair import Pair

PLAIN = ("accuracy", "log-loss", "brier", "cost", "f1")
OF_A_CLASS = ("recall", "precision")
KNOWN = ", ".join((*PLAIN, *(f"{kind}:CLASS" for kind in OF_A_CLASS)))


@dataclass(frozen=True)
class MeasureName:
    """`kind`: one of PLAIN or OF_A_CLASS; `of`: a class, whose name is checked against a pair only by `yardstick`."""

    kind: str
    of: str = ""

    @classmethod
    def parse(cls, text: str) -> MeasureName:
        """`accuracy`, `recall:CLASS` and the like. Raises BadMeasure."""
        kind, colon, of = (part.strip() for part in text.partition(":"))
        kind = kind.lower().replace("_", "-")
        if kind in PLAIN and not colon:
            return cls(kind)
        if kind in OF_A_CLASS and of:
            return cls(kind, of)
        raise BadMeasure(f"{text!r} is no measure: write one of {KNOWN}")

    def __str__(self) -> str:
        return f"{self.kind}:{self.of}" if self.of else self.kind

    @property
    def shares(self) -> bool:
        return self.kind in ("accuracy", "f1", *OF_A_CLASS)


ACCURACY = MeasureName("accuracy")


def yardstick(name: MeasureName, pair: Pair, costs: Costs | None = None) -> Yardstick:
    """The measure for a pair. Raises BadMeasure where its class is none of the pair's, or costs are wanting."""
    classes, k = pair.classes, len(pair.classes)
    if name.kind == "accuracy":
        return Accuracy("accuracy", "accuracy", k)
    if name.kind == "log-loss":
        return LogLoss("log-loss", "log loss", k, shares=False, lower_is_better=True)
    if name.kind == "brier":
        return Brier("brier", "Brier score", k, margin=0.0025, shares=False, lower_is_better=True)
    if name.kind == "cost":
        if costs is None:
            raise BadMeasure("cost is measured by --cost, and none is given")
        matrix = costs.matrix(classes)
        margin = 0.005 * float(np.ptp(np.array(matrix)))
        return CostPerRow("cost", "cost per row", k, margin, shares=False, lower_is_better=True, matrix=matrix)
    if name.kind == "f1":
        return RatioMeasure("f1", "F1", k, of=_f1_classes(classes, pair.positive), ratio=f1)
    if name.of not in classes:
        raise BadMeasure(f"{name}: {name.of!r} is none of the classes {', '.join(classes)}")
    place, title = classes.index(name.of), f"{name.kind} of {name.of}"
    if name.kind == "recall":
        return Recall(str(name), title, k, of=place)
    return RatioMeasure(str(name), title, k, of=(place,), ratio=precision)


def _f1_classes(classes: Sequence[str], positive: str) -> tuple[int, ...]:
    """Of two classes that of the positive one; else the mean over all of them."""
    return (classes.index(positive),) if len(classes) == 2 else tuple(range(len(classes)))
