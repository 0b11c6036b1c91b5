"""The boosters of XGBoost, LightGBM and CatBoost, brought into the form that scikit-learn's classifiers have."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np


def as_classifier(model: Any) -> Any:
    """The model, or where it is a library's own booster, a classifier with its trees.

    What its objective gives no probabilities for is refused where its trees are read (models/onnx/trees/).
    """
    library, name = type(model).__module__.partition(".")[0], type(model).__name__
    if (library, name) == ("xgboost", "Booster"):
        return _of_xgboost(model)
    if (library, name) == ("lightgbm", "Booster"):
        return _of_lightgbm(model)
    if (library, name) == ("catboost", "CatBoost"):
        return _of_catboost(model)
    return model


def _of_xgboost(booster: Any) -> Any:
    from xgboost import XGBClassifier

    classifier = XGBClassifier()
    classifier.load_model(bytearray(booster.save_raw("ubj")))
    return classifier


def _of_lightgbm(booster: Any) -> Any:
    from lightgbm import LGBMClassifier
    from sklearn.preprocessing import LabelEncoder

    classes = np.arange(max(2, booster.num_model_per_iteration()))
    classifier = LGBMClassifier()
    # What `fit` sets, and `load_model`, which this library lacks, would: lightgbm 4.7, sklearn.py.
    classifier.fitted_ = True
    classifier._Booster = booster
    classifier._best_iteration = booster.best_iteration
    classifier._classes, classifier._n_classes = classes, len(classes)
    classifier._le = LabelEncoder().fit(classes)
    classifier._class_map = {int(label): int(label) for label in classes}
    classifier._n_features = classifier._n_features_in = booster.num_feature()
    classifier._fitted_with_feature_names = True
    return classifier


def _of_catboost(model: Any) -> Any:
    from catboost import CatBoostClassifier

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.cbm"
        model.save_model(str(file))
        return CatBoostClassifier().load_model(str(file))
