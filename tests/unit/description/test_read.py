"""Any bytes in the place of an `MLmodel` file give a spec, or a refusal in a sentence; never anything else."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evidence.record.training import Training
from models.registry.description.read import read_spec, read_training
from models.registry.spec import ModelSpec, UnfitModel
from tests.unit.registered import MODEL, mlmodel

GOOD = json.loads(mlmodel())
OURS = GOOD["metadata"]["understudy"]
FIELDS = [*GOOD, *(f"understudy.{name}" for name in (*OURS, "profile", "texts", "flags", "training"))]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


def refusal(mlmodel: bytes) -> str:
    with pytest.raises(UnfitModel) as refused:
        read_spec(mlmodel, MODEL, "3")
    return str(refused.value)


def with_ours(**changes: object) -> bytes:
    return mlmodel(metadata={"understudy": {**OURS, **changes}})


def read_or_refused(data: bytes) -> None:
    spec, refusal = None, ""
    try:
        spec = read_spec(data, MODEL, "3")
    except UnfitModel as error:
        refusal = str(error)
    assert refusal.startswith(f"{MODEL} version 3") != isinstance(spec, ModelSpec)
    assert len(refusal) < 3_000
    if spec is not None and spec.example is not None:
        assert {len(cells) for cells in spec.example.inputs.values()} <= {len(spec.example.labels)}
    assert isinstance(read_training(data), Training)


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_any_bytes(data):
    read_or_refused(data)


@settings(max_examples=300)
@given(st.integers(0, 10**9))
def test_a_good_description_with_bytes_changed(seed):
    choose, data = random.Random(seed), bytearray(mlmodel())
    for _ in range(choose.randint(1, 6)):
        at = choose.randrange(len(data))
        data[at : at + choose.randint(0, 4)] = bytes(
            choose.choice(b"&*<>!|-:[]{}\"'#%@`?,\n \t\x000123abc") for _ in range(choose.randint(0, 4))
        )

    read_or_refused(bytes(data))


@settings(max_examples=300)
@given(st.sampled_from(FIELDS), anything)
def test_a_good_description_with_anything_in_a_field(name, value):
    ours, _, field = name.partition(".")

    read_or_refused(with_ours(**{field: value}) if field else mlmodel(**{ours: value}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"classes": [["a", "b"], "c"]}, "understudy.classes.0: Input should be a valid string"),
        ({"classes": [1, 2]}, "understudy.classes.0: Input should be a valid string"),
        ({"classes": ["one"]}, "understudy.classes: List should have at least 2 items"),
        ({"classes": "neutral"}, "understudy.classes: Input should be a valid list"),
        ({"id_column": 7}, "understudy.id_column: Input should be a valid string"),
        ({"profile": {"distance": {"counts": [10**30]}}}, "understudy.profile.distance.counts.0"),
        ({"texts": {"distance": {"a": 1}}}, "understudy.texts.distance: Input should be a valid list"),
        ({"example": {}}, "understudy.example.inputs: Field required"),
        ({"example": {**OURS["example"], "labels": ["satisfied"]}}, "has not one label, a probability per class"),
        ({"example": {**OURS["example"], "inputs": {}}}, "and a cell per input for each of its rows"),
        (
            {"example": {**OURS["example"], "probabilities": [[1.0], [1.0]]}},
            "has not one label, a probability per class",
        ),
    ],
)
def test_a_field_of_another_type_is_named(changes, said):
    assert said in refusal(with_ours(**changes))


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ("[" * 100_000, "its signature is no JSON"),
        ("not json", "its signature is no JSON"),
        ('[{"name": "a", "type": "tensor"}]', "'a' is a 'tensor'"),
        ('[{"type": "double"}]', "0.name: Field required"),
        ('[{"name": "a", "type": "long"}, {"name": "a", "type": "long"}]', "names the column 'a' twice"),
        (7, "no signature of its inputs"),
    ],
)
def test_a_signature_of_another_kind(inputs, said):
    assert said in refusal(mlmodel(signature={"inputs": inputs}))


def test_a_training_that_cannot_be_read_is_not_known():
    kept = {"ids": {"k": 4, "hashes": "0" * 16, "rows": []}, "sha256": "ab"}

    assert read_training(with_ours(training=kept)).sha256 == "ab"
    assert read_training(with_ours(training={**kept, "ids": {"k": 4, "hashes": "xyz", "rows": []}})) == Training()
    assert read_training(b"a: &a [*a]") == Training()
