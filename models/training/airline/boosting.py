"""Gradient boosting: what a third kind of model takes is this file, and its line in models.training.airline.kinds."""

from __future__ import annotations

from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline

from models.onnx.conversion.compose import features_graph
from models.onnx.graph import behind, preprocessing_graph
from models.training.airline.dataset import Dataset
from models.training.airline.preprocessing import preprocessing
from models.training.trained import Progress, Trained, no_progress

PARAMETERS = {"max_leaf_nodes": 63, "learning_rate": 0.05, "max_iter": 500, "early_stopping": True}


def train(data: Dataset, *, seed: int = 0, progress: Progress = no_progress, **changes: object) -> Trained:
    """Histogram gradient boosting on all columns; it stops early by a validation share of its own."""
    parameters = PARAMETERS | changes
    columns = preprocessing(standardise=False)
    features = columns.fit_transform(data.features)
    boosting = HistGradientBoostingClassifier(**parameters, random_state=seed).fit(features, data.labels)
    progress(1, 1)
    return Trained(
        kind="boosting",
        estimator=Pipeline([("columns", columns), ("boosting", boosting)]),
        graph=behind(preprocessing_graph(columns), features_graph(boosting, features.shape[1])),
        parameters={**parameters, "iterations": boosting.n_iter_, "seed": seed},
    )
