"""A logged model as a fitted classifier in its own library. **Loading runs code out of its files.**"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from models.registry.spec import METADATA_KEY
from models.scoring.session import first_line
from models.training.adoption.boosters import as_classifier
from models.training.adoption.network import KerasNetwork
from models.training.adoption.source import Logged
from models.training.quiet_keras import quiet_keras
from models.training.register import RegistrationRefused

# Flavor → the library that it needs; MLflow's module of that name loads it.
LIBRARIES: Mapping[str, str] = {
    "sklearn": "sklearn",
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "tensorflow": "keras",
    "keras": "keras",
}
TAKEN = "scikit-learn, XGBoost, LightGBM, CatBoost and Keras"


def flavor_of(logged: Logged) -> str:
    """The flavor by which the model is loaded. Raises RegistrationRefused where there is none, or its library is not.

    Nothing of the model is run.
    """
    if "onnx" in logged.flavors:
        if METADATA_KEY in (logged.description.metadata or {}):
            raise RegistrationRefused(f"{logged.reference} is a version that workers serve as it is")
        raise RegistrationRefused(
            f"{logged.reference} is an ONNX model already: `.venv/bin/python -m mlflow artifacts download "
            f"--artifact-uri {logged.reference} --dst-path .` gives its file, and `python -m models register` takes it"
        )
    flavor = next((flavor for flavor in LIBRARIES if flavor in logged.flavors), None)
    if flavor is None:
        others = ", ".join(sorted(name for name in logged.flavors if name != "python_function")) or "python_function"
        raise RegistrationRefused(
            f"{logged.reference} is of flavor {others}, and {TAKEN} are what can be converted: log the classifier "
            f"itself with one of their flavors, or export it as ONNX and `python -m models register` that"
        )
    if find_spec(LIBRARIES[flavor]) is None:
        raise RegistrationRefused(f"{logged.reference} needs {LIBRARIES[flavor]}, which `make adopt` installs")
    return flavor


def load(logged: Logged, flavor: str, classes: Sequence[str]) -> Any:
    """The fitted classifier; `classes`: what a network's outputs, which have no names of their own, are called.

    Raises RegistrationRefused where it cannot be loaded.
    """
    if LIBRARIES[flavor] == "keras":
        quiet_keras()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = importlib.import_module(f"mlflow.{flavor}").load_model(str(logged.folder))
    except ModuleNotFoundError as error:
        raise RegistrationRefused(_lacking(logged, str(error.name))) from None
    except Exception as error:
        raise RegistrationRefused(
            f"{logged.reference} cannot be loaded: {first_line(error)}. It was logged with "
            f"{', '.join(_versions(logged)) or 'libraries that it does not name'}: load it with those"
        ) from error
    if LIBRARIES[flavor] == "keras":
        return KerasNetwork(model, tuple(classes))
    return as_classifier(model)


def older_libraries(logged: Logged, flavor: str) -> str:
    """A warning where the model was logged with another version of its library than this one; else empty."""
    if LIBRARIES[flavor] == "keras":  # MLflow writes TensorFlow's version as that of Keras
        return ""
    entry = logged.flavors[flavor]
    keys = {"sklearn": "sklearn_version", "xgboost": "xgb_version", "lightgbm": "lgb_version"}
    then = str(entry.get(keys.get(flavor, f"{flavor}_version"), ""))
    now = str(getattr(importlib.import_module(LIBRARIES[flavor]), "__version__", ""))
    if not then or then == now:
        return ""
    return (
        f"it was logged with {LIBRARIES[flavor]} {then}, and is loaded with {now}: the new version answers as it does "
        f"here, so look whether that is as it was"
    )


def _lacking(logged: Logged, module: str) -> str:
    """What to say where a module is missing, with the model's own requirement where it has one of that name."""
    package = module.partition(".")[0]
    wanted = next((line for line in _versions(logged) if _distribution(line) == _distribution(package)), package)
    return f"{logged.reference} needs {module}, which is not installed: `.venv/bin/python -m pip install '{wanted}'`"


def _versions(logged: Logged) -> list[str]:
    file = logged.folder / "requirements.txt"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [line.strip() for line in lines if line.strip()]


def _distribution(requirement: str) -> str:
    """The name in a requirement, as PyPI compares names."""
    return re.sub(r"[-_.]+", "-", re.split(r"[=<>~!\[; ]", requirement)[0]).lower()
