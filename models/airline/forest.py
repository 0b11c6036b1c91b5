"""The random forest."""

from __future__ import annotations

from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline

from models.airline.dataset import Dataset
from models.airline.preprocessing import preprocessing
from models.forest_graph import forest_graph
from models.graph import behind, preprocessing_graph
from models.trained import Progress, Trained, no_progress

TREES = 100
STEPS = 8


def train(data: Dataset, *, seed: int = 0, progress: Progress = no_progress, trees: int = TREES) -> Trained:
    """Trees on all columns, text one-hot, numbers as they are."""
    columns = preprocessing(standardise=False)
    features = columns.fit_transform(data.features)
    forest = RandomForestClassifier(n_estimators=trees, random_state=seed, n_jobs=-1, warm_start=True)
    steps = min(STEPS, trees)
    for step in range(1, steps + 1):  # grown in steps only to show them: the forest is that of one go
        forest.set_params(n_estimators=trees * step // steps)
        forest.fit(features, data.labels)
        progress(step, steps)
    return Trained(
        kind="forest",
        estimator=Pipeline([("columns", columns), ("forest", forest)]),
        graph=behind(preprocessing_graph(columns), forest_graph(forest, features.shape[1])),
        parameters={"trees": trees, "max_features": forest.max_features, "seed": seed},
    )
