"""The random forest."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline

from models.onnx.forest import forest_graph
from models.onnx.graph import behind, preprocessing_graph
from models.training.airline.dataset import Dataset
from models.training.airline.preprocessing import preprocessing
from models.training.trained import Progress, Trained, no_progress

# Chosen by cross-validation on the real training rows (docs/performance.md): an eighth of the nodes that the library's
# defaults make, and better by every measure.
TREES = 64
LEAVES = 1024  # of a tree, at most
SHARE_OF_COLUMNS = 0.5
SHARES = 4096  # steps of a leaf's share: a few thousand trees' shares add up exactly in float32
STEPS = 8


def train(data: Dataset, *, seed: int = 0, progress: Progress = no_progress, trees: int = TREES) -> Trained:
    """Trees on all columns, text one-hot, numbers as they are."""
    columns = preprocessing(standardise=False)
    features = columns.fit_transform(data.features)
    forest = RandomForestClassifier(
        n_estimators=trees,
        max_leaf_nodes=LEAVES,
        max_features=SHARE_OF_COLUMNS,
        random_state=seed,
        n_jobs=-1,
        warm_start=True,
    )
    steps = min(STEPS, trees)
    for step in range(1, steps + 1):  # grown in steps only to show them: the forest is that of one go
        forest.set_params(n_estimators=trees * step // steps)
        forest.fit(features, data.labels)
        progress(step, steps)
    _round_shares(forest)
    return Trained(
        kind="forest",
        estimator=Pipeline([("columns", columns), ("forest", forest)]),
        graph=behind(preprocessing_graph(columns), forest_graph(forest, features.shape[1])),
        parameters={"trees": trees, "leaves": LEAVES, "share_of_columns": SHARE_OF_COLUMNS, "seed": seed},
    )


def _round_shares(forest: RandomForestClassifier) -> None:
    """Rounds the classes' shares in each leaf to whole SHARES: else a draw of all trees hangs on the last bit of a sum.

    That is another bit in the graph than in the library, which adds doubles. Two classes.
    """
    for estimator in forest.estimators_:
        shares = estimator.tree_.value  # [nodes, 1, 2], a view
        shares[:, 0, 1] = np.rint(shares[:, 0, 1] * SHARES) / SHARES
        shares[:, 0, 0] = 1.0 - shares[:, 0, 1]
