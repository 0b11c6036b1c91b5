"""What is scored, and by which models: registered for the worker, and kept as their libraries do for the others."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.onnx.serving_form import input_columns, serving_form
from models.registry.aliases import move
from models.registry.client import PRODUCTION, STAGING
from models.training.airline.dataset import Dataset
from models.training.airline.forest import train as train_forest
from models.training.airline.network import train as train_network
from models.training.airline.schema import ID_COLUMN, LABEL_COLUMN, POSITIVE
from models.training.baseline import training_profile
from models.training.register import Candidate, register
from models.training.tracking import Tracking

MODEL = "airline-satisfaction"


def train_and_register(folder: Path, data: Dataset, epochs: int) -> dict[str, Any]:
    """Registers both models in `folder` under their aliases; gives the estimators by their kind."""
    tracking = Tracking(f"sqlite:///{folder / 'mlflow.db'}")
    example, estimators = data.features.head(500), {}
    for alias, trained in (
        (PRODUCTION, train_forest(data, seed=0)),
        (STAGING, train_network(data, seed=0, epochs=epochs)),
    ):
        classes = tuple(str(label) for label in trained.estimator.classes_)
        graph = serving_form(trained.graph, classes, positive=POSITIVE)
        candidate = Candidate(
            kind=trained.kind,
            graph=graph,
            classes=classes,
            positive=POSITIVE,
            id_column=ID_COLUMN,
            label_column=LABEL_COLUMN,
            profile=training_profile(data.features, input_columns(graph)),
        )
        with tracking.run(trained.kind, trained.parameters, {"kind": trained.kind}):
            version = register(candidate, example, tracking, MODEL, {})
        move(tracking.client, MODEL, alias, version, who="bench", why="measuring", when=datetime.now(UTC))
        estimators[trained.kind] = trained.estimator
    return estimators


def write_inputs(folder: Path, data: Dataset, rows: int, files: int) -> list[Path]:
    """`files` CSVs of `rows` rows each, with an id and the label."""
    folder.mkdir()
    table = data.features.copy()
    table.insert(0, ID_COLUMN, range(1, len(table) + 1))
    table[LABEL_COLUMN] = data.labels
    for name in table.columns:
        whole = table[name].dtype == float and (table[name].dropna() % 1 == 0).all()
        table[name] = table[name].astype("Int64") if whole else table[name]
    paths = []
    for number in range(files):
        part = table.sample(rows, replace=rows > len(table), random_state=number)
        path = folder / f"flights-{rows}-{number}.csv"
        part.to_csv(path, index=False)
        paths.append(path)
    return paths
