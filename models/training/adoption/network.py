"""A Keras network as a classifier with scikit-learn's methods, so that it may stand at the end of a pipeline."""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter
from sklearn.base import BaseEstimator, ClassifierMixin

from models.onnx.graph import OPSETS
from models.onnx.unfit import UnfitStep
from models.scoring.session import first_line
from models.training.register import RegistrationRefused

BATCH = 4096  # rows at once
CLOSE = 1e-4  # of probabilities to 0, and of their sum to 1


class KerasNetwork(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A fitted network on one matrix of features [N, F], float32.

    Its output is [N, K], the probabilities of `classes`, or [N, 1], that of the second of two.
    """

    def __init__(self, model: Any, classes: Sequence[str]) -> None:
        """Raises RegistrationRefused where it takes something else, or classes and outputs do not go together."""
        self.model = model
        self.classes = classes
        taken, given = (getattr(model, name, None) for name in ("input_shape", "output_shape"))
        if taken is None or given is None:
            raise RegistrationRefused(
                f"this {type(model).__name__} is no Keras network whose inputs and outputs are known: log the "
                f"keras.Model itself, once it was called on features"
            )
        if not isinstance(taken, tuple) or len(taken) != 2:
            raise RegistrationRefused(
                f"this network takes {taken}, and what can be adopted is one matrix of features [N, F]: give it a "
                f"model whose only input is that, with the preprocessing in --preprocess"
            )
        if not isinstance(given, tuple) or len(given) != 2:
            raise RegistrationRefused(f"this network gives {given}, and a version has one output, [N, K] or [N, 1]")
        outputs = max(2, int(given[1]))
        if len(classes) != outputs:
            raise RegistrationRefused(
                f"this network has {outputs} classes without names, and {len(classes)} were named: "
                f"--classes A,B,… in the order of its outputs"
            )
        self.classes_ = np.array(classes, dtype=object)
        self.n_features_in_ = int(taken[1])

    def fit(self, *_: Any) -> KerasNetwork:
        """It is fitted already."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict_proba(self, features: Any) -> np.ndarray[Any, Any]:
        """[N, F] → [N, K]"""
        dense = features.toarray() if hasattr(features, "toarray") else np.asarray(features)
        dense = dense.astype(np.float32)
        # Called, not `.predict`ed: that takes 40 times as long on a small batch.
        parts = [self.model(dense[at : at + BATCH], training=False) for at in range(0, len(dense), BATCH)]
        found = np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])
        return np.concatenate([1 - found, found], axis=1) if found.shape[1] == 1 else found

    def predict(self, features: Any) -> np.ndarray[Any, Any]:
        """[N, F] → the most probable class of each, [N]"""
        labels: np.ndarray[Any, Any] = self.classes_[self.predict_proba(features).argmax(axis=1)]
        return labels

    def features_graph(self) -> onnx.ModelProto:
        """Its own ONNX export, from features [N, F] to probabilities [N, K], float32.

        Raises RegistrationRefused where tf2onnx is missing, UnfitStep where it cannot be exported or gives no
        probabilities.
        """
        if find_spec("tf2onnx") is None:
            raise RegistrationRefused("Keras exports ONNX by tf2onnx, which `make adopt` installs")
        # Any features will do; besides, Keras exports only what was called once.
        answers = self.predict_proba(np.random.default_rng(0).normal(scale=10, size=(64, self.n_features_in_)))
        if answers.min() < -CLOSE or np.abs(answers.sum(axis=1) - 1).max() > CLOSE:
            raise UnfitStep("its outputs are no probabilities: let it end with a sigmoid or a softmax")
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), _silent():
            warnings.simplefilter("ignore")
            file = Path(folder) / "network.onnx"
            try:
                self.model.export(str(file), format="onnx", verbose=False)
                exported = version_converter.convert_version(onnx.load(file), OPSETS[""])
            except Exception as error:
                raise UnfitStep(f"Keras exports no ONNX of it: {first_line(error)}") from error
        if self.model.output_shape[1] == 1:
            _of_both(exported)
        return exported


def _of_both(exported: onnx.ModelProto) -> None:
    """Puts the first class's probability before that of the second."""
    graph = exported.graph
    second = graph.output[0].name
    graph.initializer.append(numpy_helper.from_array(np.array([1], dtype=np.float32), "_/one"))
    graph.node.append(helper.make_node("Sub", ["_/one", second], ["_/first"]))
    graph.node.append(helper.make_node("Concat", ["_/first", second], ["_/both"], axis=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("_/both", TensorProto.FLOAT, [None, 2]))


@contextlib.contextmanager
def _silent() -> Any:
    """TensorFlow writes to the file behind stderr, past Python."""
    with open(os.devnull, "wb") as nothing:
        kept = os.dup(2)
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
