"""The boosters of XGBoost, LightGBM and CatBoost, brought into the form that scikit-learn's classifiers have."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from models.training.register import RegistrationRefused


def as_classifier(model: Any) -> Any:
    """The model, or where it is a library's own booster, a classifier with its trees. Raises RegistrationRefused."""
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

    objective = str(booster.attr("objective") or _objective(booster))
    if not objective.startswith(("binary:logistic", "multi:")):
        raise _no_classifier("XGBoost", objective)
    classifier = XGBClassifier()
    classifier.load_model(bytearray(booster.save_raw("ubj")))
    return classifier


def _objective(booster: Any) -> str:
    return str(json.loads(booster.save_config())["learner"]["objective"]["name"])


def _of_lightgbm(booster: Any) -> Any:
    from lightgbm import LGBMClassifier
    from sklearn.preprocessing import LabelEncoder

    objective = str(booster.dump_model(num_iteration=1).get("objective", "")).partition(" ")[0]
    if objective not in ("binary", "multiclass", "multiclassova"):
        raise _no_classifier("LightGBM", objective)
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
    classifier._objective = objective
    return classifier


def _of_catboost(model: Any) -> Any:
    from catboost import CatBoostClassifier

    objective = str(model.get_all_params().get("loss_function", ""))
    if objective not in ("Logloss", "CrossEntropy", "MultiClass"):
        raise _no_classifier("CatBoost", objective)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.cbm"
        model.save_model(str(file))
        return CatBoostClassifier().load_model(str(file))


def _no_classifier(library: str, objective: str) -> RegistrationRefused:
    return RegistrationRefused(
        f"this {library} model learned {objective or 'no objective that it names'}, which gives no probabilities of "
        f"classes: a version answers with one of some classes"
    )
