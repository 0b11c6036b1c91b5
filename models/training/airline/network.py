"""The neural network: dense layers in Keras. TensorFlow takes seconds to import, so only `train` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer

from models.onnx.graph import behind, dense_network_graph, preprocessing_graph
from models.training.airline.dataset import Dataset
from models.training.airline.preprocessing import preprocessing
from models.training.quiet_keras import quiet_keras
from models.training.trained import Progress, Trained, no_progress

UNITS = (128, 64, 32)
DROPOUT = 0.1
BATCH = 256
EPOCHS = 25
RATE = 0.002
VALIDATION_SHARE = 0.05  # held back to be watched only
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Network:
    """The fitted preprocessing and the Keras model behind it, as one classifier on raw columns."""

    columns: ColumnTransformer
    keras_model: Any
    classes_: np.ndarray[Any, Any]

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray[Any, Any]:
        """[N, 2]"""
        features = _floats(self.columns.transform(rows))
        starts = range(0, len(features), _ROWS_AT_ONCE)
        # Called, not `.predict`ed: that prints, and takes 40 times as long on a small batch.
        pieces = [self.keras_model(features[at : at + _ROWS_AT_ONCE], training=False) for at in starts]
        second = np.concatenate([np.asarray(piece)[:, 0] for piece in pieces])
        return np.column_stack([1.0 - second, second])


def train(
    data: Dataset,
    *,
    seed: int = 0,
    progress: Progress = no_progress,
    units: Sequence[int] = UNITS,
    epochs: int = EPOCHS,
) -> Trained:
    """Dense layers on one-hot text and standardised numbers; the learning rate falls to nothing by a cosine."""
    keras = quiet_keras()
    keras.utils.set_random_seed(seed)
    learning, watching = data.split(VALIDATION_SHARE, seed)
    columns = preprocessing(standardise=True).fit(learning.features)
    classes = np.unique(data.labels)
    sets = [(_floats(columns.transform(part.features)), part.labels == classes[1]) for part in (learning, watching)]
    model = keras.Sequential([keras.Input((sets[0][0].shape[1],))])
    for size in units:
        model.add(keras.layers.Dense(size, activation="relu"))
        model.add(keras.layers.Dropout(DROPOUT))
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    # Chosen on a held-out tenth of the real training data, against a constant rate with early stopping.
    rate = keras.optimizers.schedules.CosineDecay(RATE, epochs * -(-len(learning) // BATCH))
    metrics = ["accuracy", keras.metrics.AUC(name="roc_auc")]
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", metrics=metrics)
    show = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, _logs: progress(epoch + 1, epochs))
    fitted = model.fit(*sets[0], validation_data=sets[1], batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[show])
    dense = [layer.get_weights() for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    return Trained(
        kind="network",
        estimator=Network(columns, model, classes),
        graph=behind(preprocessing_graph(columns), dense_network_graph(dense)),
        parameters={
            "units": "-".join(map(str, units)),
            "dropout": DROPOUT,
            "batch": BATCH,
            "epochs": epochs,
            "validation_share": VALIDATION_SHARE,
            "learning_rate": f"{RATE}, falling by a cosine",
            "seed": seed,
        },
        history=fitted.history,
    )


def _floats(values: Any) -> np.ndarray[Any, Any]:
    return np.asarray(values, dtype=np.float32)
