"""The two pictures of a run: how far its probabilities can be believed, and which class it takes for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix


def calibration_plot(positive: np.ndarray[Any, Any], chance: np.ndarray[Any, Any], name: str) -> Figure:
    """Observed share of the positive class against the predicted probability [N], in ten bins of equal counts."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    observed, predicted = calibration_curve(positive, np.clip(chance, 0, 1), n_bins=10, strategy="quantile")
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="perfect")
    axes.plot(predicted, observed, marker="o", label="model")
    axes.set(xlabel=f"predicted probability of {name!r}", ylabel="observed share", title="Calibration on the test rows")
    axes.legend()
    return figure


def confusion_plot(labels: np.ndarray[Any, Any], predicted: np.ndarray[Any, Any], classes: Sequence[str]) -> Figure:
    """Counts of true against predicted classes."""
    counts = confusion_matrix(labels.astype(str), predicted.astype(str), labels=list(classes))
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(counts, cmap="Blues")
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if count > counts.max() / 2 else "black"
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour)
    ticks = range(len(classes))
    axes.set_xticks(ticks, classes, rotation=15)
    axes.set_yticks(ticks, classes, rotation=75, va="center")
    axes.set(xlabel="predicted", ylabel="true", title="Confusion on the test rows")
    return figure
