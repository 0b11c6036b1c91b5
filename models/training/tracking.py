"""Experiment tracking in MLflow: where runs and their files go, and one run as a person reads it afterwards."""

from __future__ import annotations

import fcntl
import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd

from models.scoring.scorer import Scores
from models.training.plots import calibration_plot, confusion_plot

DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
EXPERIMENT = "airline-satisfaction"
ARTIFACTS_FOLDER = "mlartifacts"  # beside the database
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "GIT_PYTHON_REFRESH": "quiet",
}


class Tracking:
    """The runs of one experiment at one MLflow address. MLflow keeps its address per process, so use one at a time."""

    def __init__(
        self, uri: str = DEFAULT_TRACKING_URI, experiment: str = EXPERIMENT, *, artifact_hosts: str = ""
    ) -> None:
        """Makes the database and the experiment where they are missing. Raises what MLflow raises."""
        for name, value in _QUIET.items():  # read at MLflow's import
            os.environ.setdefault(name, value)
        import mlflow

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self.uri = uri
        self.artifact_hosts = artifact_hosts  # from where else a version that is registered may be fetched back
        self.experiment = experiment
        folder = _artifacts_folder(uri)
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        with _alone(folder):
            self.client = mlflow.MlflowClient(uri)
            if self.client.get_experiment_by_name(experiment) is None:
                # Absolute: MLflow would take ./mlruns of whatever folder a program happens to run in.
                self.client.create_experiment(experiment, None if folder is None else folder.absolute().as_uri())

    def make_model(self, name: str) -> None:
        """Makes the registered model unless it exists."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def serves(self, name: str) -> bool:
        """Whether the registered model is there and has a production version."""
        from mlflow.exceptions import MlflowException

        try:
            return "production" in self.client.get_registered_model(name).aliases
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False

    @contextmanager
    def run(self, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> Iterator[str]:
        """One run, under its id; ended as FAILED where the body raises."""
        import mlflow

        mlflow.set_experiment(self.experiment)
        with warnings.catch_warnings(), mlflow.start_run(run_name=name, tags=dict(tags)) as run:
            warnings.simplefilter("ignore")
            mlflow.log_params(dict(parameters))
            yield str(run.info.run_id)

    def log_data(self, name: str, sha256: str, rows: pd.DataFrame, context: str) -> None:
        """Names a data set as an input of the running run; `context` is `training` or `test`."""
        import mlflow
        from mlflow.data.pandas_dataset import from_pandas

        mlflow.log_input(from_pandas(rows, name=name[:200], digest=sha256[:32]), context=context)
        mlflow.set_tag(f"{context}_data.sha256", sha256)

    def log_history(self, run_id: str, history: Mapping[str, Sequence[float]]) -> None:
        """Metric → its value per epoch, counted from 1."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [
            Metric(name, float(value), now, epoch)
            for name, values in history.items()
            for epoch, value in enumerate(values, start=1)
        ]
        for start in range(0, len(metrics), 1000):  # MLflow's limit of one request
            self.client.log_batch(run_id, metrics=metrics[start : start + 1000])

    def log_test(
        self,
        metrics: Mapping[str, float],
        labels: np.ndarray[Any, Any],
        scores: Scores,
        classes: Sequence[str],
        positive: str | None,
    ) -> None:
        """The running run's metrics on the test rows, and its two plots."""
        import mlflow

        mlflow.log_metrics(dict(metrics))
        mlflow.log_figure(confusion_plot(labels, scores.labels, classes), "confusion.png")
        if positive is not None:
            chance = scores.probabilities[:, list(classes).index(positive)]
            mlflow.log_figure(calibration_plot(labels == positive, chance, positive), "calibration.png")


@contextmanager
def _alone(folder: Path | None) -> Iterator[None]:
    """One process at a time: two that set up the same SQLite database at once make MLflow fail in one of them."""
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _artifacts_folder(uri: str) -> Path | None:
    """Beside a SQLite database; None where a server decides."""
    if not uri.startswith("sqlite:///"):
        return None
    return Path(unquote(uri.removeprefix("sqlite:///").partition("?")[0])).parent / ARTIFACTS_FOLDER
