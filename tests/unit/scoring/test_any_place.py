"""A row has the same bytes in any file, batch, block or place, for every kind of graph that can be registered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from skl2onnx import to_onnx
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC

from models.onnx.serving_form import serving_form
from models.registry.spec import Column, Example, ModelSpec
from models.scoring.scorer import BLOCK_ROWS, Columns, Scorer
from models.training.airline import boosting, forest, network
from models.training.airline.dataset import synthetic_dataset
from models.training.airline.schema import CLASSES
from models.training.estimators.candidate import sklearn_candidate
from models.training.register import raw_columns

pytestmark = pytest.mark.filterwarnings("ignore")  # networks that have not converged

SURVEY = synthetic_dataset(600, seed=1)
MANY = synthetic_dataset(5_000, seed=2).features
SOME = ["Age", "Flight Distance", "Inflight wifi service", "Customer Type", "Class"]
NUMBERS, TEXTS = SOME[:3], SOME[3:]
PLACES = [  # of the rows in a file: together, one by one, in odd pieces, backwards, and behind others
    lambda n: [np.arange(n)],
    lambda n: [np.array([row]) for row in range(0, n, n // 7)],
    lambda n: np.array_split(np.arange(n), [1, 63, 200, 457, 1500, 4099]),
    lambda n: [np.arange(n)[::-1]],
    lambda n: [np.random.default_rng(3).permutation(n)],
]


def converted(classifier: Any) -> onnx.ModelProto:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    rows = SURVEY.features[SOME]
    pipeline = make_pipeline(ColumnTransformer([("n", numbers, NUMBERS), ("t", texts, TEXTS)]), classifier)
    return sklearn_candidate(pipeline.fit(rows, SURVEY.labels), rows.head(50)).graph


def exported(classifier: Any) -> onnx.ModelProto:
    """As skl2onnx writes it by default, on one matrix of floats."""
    rows = SURVEY.features[NUMBERS].fillna(0.0).to_numpy(np.float32)
    classifier.fit(rows, SURVEY.labels)
    graph = to_onnx(classifier, rows[:1], options={"zipmap": False}, target_opset={"": 18, "ai.onnx.ml": 3})
    return serving_form(graph, [str(label) for label in classifier.classes_], columns=NUMBERS)


def trained(train: Callable[..., Any], **sizes: Any) -> onnx.ModelProto:
    return serving_form(train(SURVEY, **sizes).graph, CLASSES, positive="satisfied")


KINDS = {
    "forest": lambda: trained(forest.train, trees=16),
    "network": lambda: trained(network.train, units=(16, 8), epochs=1),
    "boosting": lambda: trained(boosting.train, max_iter=20),
    **{
        type(one).__name__: lambda one=one: converted(one)
        for one in (
            LogisticRegression(max_iter=500),
            RandomForestClassifier(12, random_state=0),
            ExtraTreesClassifier(12, random_state=0),
            GradientBoostingClassifier(n_estimators=8, random_state=0),
            HistGradientBoostingClassifier(max_iter=10, random_state=0),
            AdaBoostClassifier(n_estimators=4, random_state=0),
            CalibratedClassifierCV(LinearSVC(), cv=2),
            SGDClassifier(loss="log_loss", random_state=0),
            LinearDiscriminantAnalysis(),
            GaussianNB(),
            MLPClassifier((12,), max_iter=20, random_state=0),
        )
    },
    **{
        f"exported {type(one).__name__}": lambda one=one: exported(one)
        for one in (
            RandomForestClassifier(12, random_state=0),
            MLPClassifier((12,), max_iter=20, random_state=0),
            KNeighborsClassifier(5),
            SVC(probability=True, random_state=0),
        )
    },
}


@pytest.mark.parametrize("made", KINDS.values(), ids=KINDS)
def test_a_row_has_the_same_bytes_whatever_its_neighbours(made: Callable[[], onnx.ModelProto]) -> None:
    scorer, columns = prepared(made())

    usual = digests(scorer, columns, np.arange(len(MANY)))
    for places in PLACES:
        for part in places(len(MANY)):
            assert digests(scorer, columns, part) == [usual[row] for row in part]


def prepared(graph: onnx.ModelProto) -> tuple[Scorer, Columns]:
    """The scorer as a scoring process has it after the trial, and all rows for it."""
    types = {node.name: "string" if node.type.tensor_type.elem_type == 8 else "double" for node in graph.graph.input}
    columns = raw_columns(MANY.fillna(0.0), types)
    rows = {name: cells[:16] for name, cells in columns.items()}
    labels = sorted(set(SURVEY.labels))
    spec = ModelSpec(
        "any", "1", "", tuple(Column(name, kind == "string") for name, kind in types.items()), tuple(labels)
    )
    scores = Scorer(graph.SerializeToString(), spec).score(rows)
    inputs = {name: tuple(cells.tolist()) for name, cells in rows.items()}
    example = Example(inputs, tuple(scores.labels), tuple(tuple(map(float, row)) for row in scores.probabilities))
    scorer = Scorer(graph.SerializeToString(), replace(spec, example=example))
    assert BLOCK_ROWS in scorer.prepare()
    return scorer, columns


def digests(scorer: Scorer, columns: Columns, places: np.ndarray[Any, Any]) -> list[str]:
    """Of the label and the bytes of the probabilities of each of the rows at `places`."""
    scores = scorer.score({name: cells[places] for name, cells in columns.items()})
    return [
        hashlib.sha256(f"{label}".encode() + row.tobytes()).hexdigest()
        for label, row in zip(scores.labels, scores.probabilities, strict=True)
    ]


def test_most_of_the_rows_have_an_answer_of_their_own() -> None:
    # Were all rows alike, the test above would show nothing
    scorer, columns = prepared(KINDS["LogisticRegression"]())
    assert len(set(digests(scorer, columns, np.arange(len(MANY))))) > len(MANY) // 2
