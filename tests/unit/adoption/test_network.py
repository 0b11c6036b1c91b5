"""Keras networks: what can be adopted answers as before, and the others are told what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest

from models.onnx.unfit import UnfitStep
from models.training.register import RegistrationRefused
from tests.unit.adoption.logged import library

pytestmark = pytest.mark.slow  # TensorFlow's import
FEATURES = np.random.default_rng(1).normal(size=(600, 6)).astype(np.float32)


def network(outputs: int, activation: str | None) -> Any:
    layers = library("keras").layers
    return library("keras").Sequential(
        [
            layers.Input((6,)),
            layers.BatchNormalization(),
            layers.Dense(8, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(outputs, activation=activation),
        ]
    )


def adopted(model: Any, *classes: str) -> Any:
    from models.training.adoption.network import KerasNetwork

    return KerasNetwork(model, classes)


@pytest.mark.parametrize(("outputs", "activation", "classes"), [(1, "sigmoid", "ab"), (3, "softmax", "abc")])
def test_its_export_gives_its_probabilities(outputs: int, activation: str, classes: str) -> None:
    library("tf2onnx")
    found = adopted(network(outputs, activation), *classes)

    exported = found.features_graph()

    session = onnxruntime.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])
    [answers] = session.run(None, {session.get_inputs()[0].name: FEATURES})
    assert answers.shape == (600, len(classes))
    assert np.abs(answers - found.predict_proba(FEATURES)).max() < 1e-6
    assert set(found.predict(FEATURES)) <= set(classes)


def test_logits_are_no_probabilities() -> None:
    library("tf2onnx")
    with pytest.raises(UnfitStep, match="let it end with a sigmoid or a softmax"):
        adopted(network(1, None), "a", "b").features_graph()


def test_other_shapes_and_other_models_are_refused() -> None:
    keras = library("keras")
    sides = [keras.Input((1,)), keras.Input((1,))]
    both = keras.Model(sides, keras.layers.Concatenate()(sides))
    for model, classes, said in (
        (both, "ab", "one matrix of features"),
        (network(3, "softmax"), "ab", "has 3 classes without names, and 2 were named"),
        (network(1, "sigmoid"), "", "has 2 classes without names, and 0 were named"),
        (object(), "ab", "this object is no Keras network"),
    ):
        with pytest.raises(RegistrationRefused, match=said):
            adopted(model, *classes)
