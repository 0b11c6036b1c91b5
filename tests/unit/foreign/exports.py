"""What other libraries export by default: each fits a small classifier, writes its graph, and says what it predicts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

NUMBERS = ["age", "distance", "delay", "stars"]
ROWS = 700
Array = np.ndarray[Any, Any]


def survey(*, gaps: bool) -> pd.DataFrame:
    """Four columns of float32 numbers and a text."""
    random = np.random.default_rng(7)
    numbers = random.normal(size=(ROWS, len(NUMBERS))).astype(np.float32)
    numbers[:, 3] = np.round(numbers[:, 3] * 2)
    if gaps:
        numbers[random.random(numbers.shape) < 0.05] = np.nan
    rows = pd.DataFrame(numbers.astype(np.float64), columns=NUMBERS)
    return rows.assign(colour=random.choice(["red", "blue", ""], ROWS))


def answers(rows: pd.DataFrame, classes: int = 2) -> Array:
    """[N] of 0 … classes - 1, which age and stars say together."""
    score = rows.age.fillna(0.5) + 0.3 * rows.stars.fillna(-1) + np.random.default_rng(1).normal(0, 0.3, len(rows))
    found: Array = np.digitize(score, [0.0] if classes == 2 else [-0.6, 0.6])
    return found


def matrix(rows: pd.DataFrame) -> Array:
    return rows[NUMBERS].to_numpy(np.float32)


def named(numbers: Array) -> Array:
    found: Array = np.array(["good", "bad"], dtype=object)[numbers]
    return found


def _onnxmltools(convert: str, model: Any, path: Path, **options: Any) -> None:
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    inputs = [("input", FloatTensorType([None, len(NUMBERS)]))]
    onnx.save(getattr(onnxmltools, convert)(model, initial_types=inputs, **options), path)


def xgboost_classifier(path: Path, rows: pd.DataFrame, classes: int = 2) -> tuple[Array, Array]:
    from xgboost import XGBClassifier

    model = XGBClassifier(n_estimators=8, max_depth=3, n_jobs=1).fit(matrix(rows), answers(rows, classes))
    _onnxmltools("convert_xgboost", model, path)
    return model.predict(matrix(rows)), model.predict_proba(matrix(rows))


def xgboost_booster(path: Path, rows: pd.DataFrame) -> tuple[Array, Array]:
    import xgboost

    names = [f"f{at}" for at in range(len(NUMBERS))]
    data = xgboost.DMatrix(matrix(rows), answers(rows), feature_names=names)
    model = xgboost.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, data, 8)
    _onnxmltools("convert_xgboost", model, path)
    found = model.predict(data)
    return (found > 0.5).astype(int), np.column_stack([1 - found, found])


def lightgbm(
    path: Path, rows: pd.DataFrame, classes: int = 2, texts: bool = False, **options: Any
) -> tuple[Array, Array]:
    from lightgbm import LGBMClassifier

    labels = named(answers(rows)) if texts else answers(rows, classes)
    model = LGBMClassifier(n_estimators=8, n_jobs=1, verbose=-1).fit(matrix(rows), labels)
    _onnxmltools("convert_lightgbm", model, path, **options)
    return model.predict(matrix(rows)), model.predict_proba(matrix(rows))


def catboost(path: Path, rows: pd.DataFrame, classes: int = 2, texts: bool = False) -> tuple[Array, Array]:
    from catboost import CatBoostClassifier

    labels = named(answers(rows)) if texts else answers(rows, classes)
    model = CatBoostClassifier(iterations=8, depth=3, verbose=0, thread_count=1, allow_writing_files=False)
    model.fit(matrix(rows), labels)
    model.save_model(str(path), format="onnx")
    return np.ravel(model.predict(matrix(rows))), model.predict_proba(matrix(rows))


def scikit_learn(
    path: Path, rows: pd.DataFrame, classifier: Any, labels: Callable[[Array], Array]
) -> tuple[Array, Array]:
    from skl2onnx import to_onnx

    model = classifier.fit(matrix(rows), labels(answers(rows)))
    onnx.save(to_onnx(model, matrix(rows)[:1]), path)
    return model.predict(matrix(rows)), model.predict_proba(matrix(rows))


def scikit_learn_columns(path: Path, rows: pd.DataFrame) -> tuple[Array, Array]:
    from skl2onnx import to_onnx

    columns = ["age", "stars", "colour"]
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    steps = [("texts", OneHotEncoder(handle_unknown="ignore"), ["colour"]), ("numbers", numbers, ["age", "stars"])]
    shown = rows[columns].astype(dict.fromkeys(["age", "stars"], np.float32))  # onnxruntime has no Imputer of doubles
    model = make_pipeline(ColumnTransformer(steps), LogisticRegression()).fit(shown, named(answers(rows)))
    onnx.save(to_onnx(model, shown[:1]), path)
    return model.predict(shown), model.predict_proba(shown)


def keras(path: Path, rows: pd.DataFrame, units: int, batch: int | None = None) -> tuple[Array, Array]:
    import keras as library

    library.utils.set_random_seed(3)
    taken = library.Input((len(NUMBERS),), batch_size=batch)
    hidden = library.layers.Dense(5, activation="relu")(taken)
    model = library.Model(taken, library.layers.Dense(units, activation="sigmoid" if units == 1 else "softmax")(hidden))
    found = _called(model, rows, batch)
    model.export(str(path), format="onnx", verbose=False)
    pairs = np.column_stack([1 - found, found]) if units == 1 else found
    return pairs.argmax(axis=1), pairs


def keras_columns(path: Path, rows: pd.DataFrame) -> tuple[Array, Array]:
    import keras as library

    library.utils.set_random_seed(3)
    taken = [library.Input((1,), name=name) for name in ("age", "stars")]
    joined = library.layers.Concatenate()(taken)
    model = library.Model(taken, library.layers.Dense(1, activation="sigmoid")(joined))
    found = np.asarray(model([rows[[name]].to_numpy(np.float32) for name in ("age", "stars")]))
    model.export(str(path), format="onnx", verbose=False)
    return (found[:, 0] > 0.5).astype(int), np.column_stack([1 - found, found])


def _called(model: Any, rows: pd.DataFrame, batch: int | None) -> Array:
    cells = matrix(rows)
    size = batch or len(cells)
    return np.concatenate([np.asarray(model(cells[at : at + size])) for at in range(0, len(cells), size)])
