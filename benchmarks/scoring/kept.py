"""The forest and the network as their libraries keep them, for the loops of those who do not use this project."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

FOREST, COLUMNS, NETWORK = "forest.joblib", "columns.joblib", "network.keras"
ID = "id"


def keep(estimators: dict[str, Any], folder: Path) -> None:
    """Saves a fitted pipeline with the forest, and the network's preprocessing and Keras model."""
    import joblib

    folder.mkdir()
    joblib.dump(estimators["forest"], folder / FOREST)
    joblib.dump(estimators["network"].columns, folder / COLUMNS)
    estimators["network"].keras_model.save(folder / NETWORK)


class Models:
    """Both, loaded once, with one thread each."""

    def __init__(self, folder: str) -> None:
        os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        import joblib
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        import keras

        self.pipeline = joblib.load(f"{folder}/{FOREST}")
        self.pipeline.steps[-1][1].n_jobs = 1
        self.inputs = list(self.pipeline.feature_names_in_)
        self._columns = joblib.load(f"{folder}/{COLUMNS}")
        self._network = keras.models.load_model(f"{folder}/{NETWORK}")

    def forest(self, table: Any) -> Any:
        """The second class's probability of each row of a DataFrame [N]."""
        return self.pipeline.predict_proba(table[self.inputs])[:, 1]

    def network(self, table: Any) -> Any:
        """The same by the network."""
        features = self._columns.transform(table[self.inputs]).astype("float32")
        return self._network.predict(features, verbose=0)[:, 0]

    def write(self, table: Any, probabilities: Any, path: str) -> None:
        """Id, class and probability of each row as CSV."""
        import pandas

        classes = self.pipeline.classes_[(probabilities > 0.5).astype(int)]
        out = pandas.DataFrame({ID: table[ID], "prediction": classes, "probability": probabilities})
        out.to_csv(path, index=False)
