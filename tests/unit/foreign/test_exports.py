"""What other libraries export by default is registered as it is, and answers as the library predicts."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from models.registry.client import Registry
from models.scoring.scorer import Scorer
from models.training.foreign import foreign_candidate
from models.training.register import Candidate, raw_columns
from tests.emulators import missing
from tests.unit.foreign import exports
from tests.unit.foreign.exports import NUMBERS, named, survey
from tests.unit.test_register import registry as registry
from tests.unit.test_register import run_register

pytestmark = pytest.mark.filterwarnings("ignore")  # what the libraries say of one another

PLAIN = partial(exports.scikit_learn, labels=lambda numbers: numbers)
NAMED = partial(exports.scikit_learn, labels=named)
TWO, THREE = ["0", "1"], ["0", "1", "2"]
EXPORTS = {
    "XGBClassifier": ("xgboost", exports.xgboost_classifier),
    "XGBClassifier of three": ("xgboost", partial(exports.xgboost_classifier, classes=3)),
    "XGBoost's booster": ("xgboost", exports.xgboost_booster),
    "LightGBM": ("lightgbm", exports.lightgbm),
    "LightGBM without ZipMap": ("lightgbm", partial(exports.lightgbm, zipmap=False)),
    "LightGBM of texts": ("lightgbm", partial(exports.lightgbm, texts=True)),
    "LightGBM of three": ("lightgbm", partial(exports.lightgbm, classes=3)),
    "CatBoost": ("catboost", exports.catboost),
    "CatBoost of texts": ("catboost", partial(exports.catboost, texts=True)),
    "CatBoost of three": ("catboost", partial(exports.catboost, classes=3)),
    "scikit-learn": ("skl2onnx", partial(PLAIN, classifier=LogisticRegression())),
    "scikit-learn of texts": ("skl2onnx", partial(NAMED, classifier=RandomForestClassifier(8, random_state=0))),
}
NAMELESS = {
    "one probability": (partial(exports.keras, units=1), TWO, NUMBERS),
    "three": (partial(exports.keras, units=3), THREE, NUMBERS),
    "a fixed batch": (partial(exports.keras, units=3, batch=30), THREE, NUMBERS),
    "an input for each column": (exports.keras_columns, TWO, None),
}


@pytest.mark.parametrize("export", EXPORTS)
def test_an_export_serves_as_its_library_predicts(tmp_path: Path, export: str) -> None:
    library, write = EXPORTS[export]

    made = expect_the_same(tmp_path, library, write, columns=NUMBERS, gaps=library != "skl2onnx")

    assert library == "skl2onnx" or made.no_gaps == ()


@pytest.mark.slow
@pytest.mark.parametrize("export", NAMELESS)
def test_a_network_serves_under_the_classes_that_are_named_for_it(tmp_path: Path, export: str) -> None:
    write, classes, columns = NAMELESS[export]

    made = expect_the_same(tmp_path, "tf2onnx", write, classes=classes, columns=columns, gaps=True)

    assert made.no_gaps == tuple(made.types)  # of which it makes no probabilities


def test_columns_of_several_types_keep_their_names(tmp_path: Path) -> None:
    made = expect_the_same(tmp_path, "skl2onnx", exports.scikit_learn_columns, gaps=True)

    assert dict(made.types) == {"age": "float", "stars": "float", "colour": "string"}
    assert made.no_gaps == ()


def expect_the_same(folder: Path, library: str, write: Any, *, gaps: bool, **named: Any) -> Candidate:
    """700 rows of a CSV file, of which one in six has a gap where there are `gaps`."""
    need(library)
    rows = survey(gaps=gaps)
    rows.to_csv(folder / "rows.csv", index=False)
    labels, probabilities = write(folder / "export.onnx", rows)

    candidate, read = foreign_candidate(folder / "export.onnx", example=folder / "rows.csv", **named)

    taken = rows[list(candidate.no_gaps)].notna().all(axis=1).to_numpy()
    scores = candidate.score(read)
    assert len(read) == taken.sum() > 500
    assert [str(label) for label in labels[taken]] == list(scores.labels)
    np.testing.assert_allclose(scores.probabilities, probabilities[taken], rtol=0, atol=1e-5)
    return candidate


def test_a_registered_export_says_its_classes_itself(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need("xgboost")
    rows = survey(gaps=True)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    labels, _ = exports.xgboost_classifier(tmp_path / "export.onnx", rows)
    options: Any = {"input_columns": ",".join(NUMBERS), "example": tmp_path / "rows.csv"}

    assert run_register(registry, tmp_path / "export.onnx", classes=None, **options) == 0
    assert "its classes, by the graph: 0, 1\n" in capsys.readouterr().out
    assert run_register(registry, tmp_path / "export.onnx", classes="no,yes", **options) == 0

    for version, names in (("1", ("0", "1")), ("2", ("no", "yes"))):
        fetched = registry.fetch(version, tmp_path / "cache")
        scorer = Scorer(fetched.graph.read_bytes(), fetched.spec)
        scorer.check_example()
        assert fetched.spec.classes == names
        scores = scorer.score(raw_columns(rows, dict.fromkeys(NUMBERS, "float")))
        assert list(scores.labels) == [names[label] for label in labels]


def need(library: str) -> None:
    if find_spec(library) is None:
        missing(f"{library} is not installed: `make adopt`")
