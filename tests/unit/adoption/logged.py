"""Models as people log them to MLflow, and what they answer there."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from models.registry.client import Registry
from models.scoring.scorer import Scorer
from models.training.register import raw_columns
from models.training.tracking import Tracking
from tests.emulators import missing

ROWS = 600
NUMBERS = ["stem cm", "petals", "leaves"]
TEXTS = ["colour"]


def flowers(seed: int = 5, rows: int = ROWS) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    """Two kinds of flower, with gaps in numbers and, beyond row 300, texts that those before do not have."""
    random = np.random.default_rng(seed)
    kinds = random.integers(0, 2, rows)
    table = pd.DataFrame({name: kinds + random.normal(0, 0.7, rows) for name in NUMBERS})
    table["petals"] = np.round(4 * table["petals"])
    table["colour"] = np.array(["red", "blue"], dtype=object)[(kinds + (random.random(rows) < 0.2)) % 2]
    table.loc[301::7, "colour"] = "Ünbekannt"
    table.loc[::11, "petals"] = np.nan
    return table, kinds


def columns_of_numbers_and_texts() -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), NUMBERS),
            ("texts", OneHotEncoder(handle_unknown="ignore"), TEXTS),
        ]
    )


def library(name: str) -> Any:
    """The module; ends the test where it is not installed."""
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        missing(f"{name} is not installed: `make adopt`")


@dataclass(frozen=True)
class House:
    """A registry to log to, and to adopt from."""

    uri: str
    folder: Path

    def log(self, flavor: str, model: Any, name: str, **options: Any) -> str:
        """Logs a model by MLflow's own `log_model`, as a new version of `name`; gives the version."""
        import importlib

        import mlflow

        tracking = Tracking(self.uri)
        with warnings.catch_warnings(), tracking.run(f"notebook of {name}", {}, {}):
            warnings.simplefilter("ignore")
            logged = importlib.import_module(f"mlflow.{flavor}").log_model(
                model, name="model", registered_model_name=name, pip_requirements=options.pop("requires", []), **options
            )
        assert mlflow.get_tracking_uri() == self.uri
        return str(logged.registered_model_version)

    def answers(self, name: str, version: str, rows: pd.DataFrame) -> Any:
        """What MLflow says to the rows by the logged model itself."""
        import mlflow

        mlflow.set_tracking_uri(self.uri)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(mlflow.pyfunc.load_model(f"models:/{name}/{version}").predict(rows))

    def served(self, name: str, version: str, rows: pd.DataFrame) -> Any:
        """What a worker's scorer says to the rows: `labels` [N] and `probabilities` [N, K]."""
        fetched = Registry(self.uri, name).fetch(version, self.folder / "cache")
        types = {column.name: "string" if column.is_text else "double" for column in fetched.spec.columns}
        return Scorer(fetched.graph.read_bytes(), fetched.spec).score(raw_columns(rows, types))
