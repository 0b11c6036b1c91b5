"""The two pictures of a run, drawn by scikit-learn: how far to believe its probabilities, what it takes for what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.metrics import ConfusionMatrixDisplay

_AS_TEXT = {"text.parse_math": False}  # a class called "$x$" is a name, not a formula


@rc_context(_AS_TEXT)
def calibration_plot(positive: np.ndarray[Any, Any], chance: np.ndarray[Any, Any], name: str) -> Figure:
    """Observed share of the positive class against the predicted probability [N], in ten bins of equal counts."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes, chance = figure.subplots(), np.clip(chance, 0, 1)
    CalibrationDisplay.from_predictions(positive, chance, n_bins=10, strategy="quantile", name="model", ax=axes)
    axes.set(xlabel=f"predicted probability of {name!r}", ylabel="observed share")
    return figure


@rc_context(_AS_TEXT)
def confusion_plot(labels: np.ndarray[Any, Any], predicted: np.ndarray[Any, Any], classes: Sequence[str]) -> Figure:
    """Counts of true against predicted classes."""
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    display = ConfusionMatrixDisplay.from_predictions
    style = {"cmap": "Blues", "values_format": ",", "colorbar": False, "xticks_rotation": 15}
    display(labels.astype(str), predicted.astype(str), labels=list(classes), ax=figure.subplots(), **style)
    return figure
