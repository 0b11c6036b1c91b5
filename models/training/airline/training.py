"""One training, from rows to a registered version: tracked, measured on the test rows, checked, registered."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from models.evidence.record.sketch import training_sketch
from models.onnx.serving_form import input_columns, serving_form
from models.registry.aliases import move
from models.registry.spec import METADATA_KEY
from models.scoring.scorer import Scores
from models.training.airline.dataset import Dataset
from models.training.airline.kinds import FIRST_ALIAS, TRAINERS
from models.training.airline.schema import ID_COLUMN, LABEL_COLUMN, POSITIVE
from models.training.baseline import training_profile
from models.training.register import Candidate, check_against_estimator, register
from models.training.shown import shown_texts
from models.training.tracking import Tracking
from models.training.trained import Progress, no_progress


@dataclass(frozen=True)
class TrainingOutcome:
    """What one training came to; `alias` is the one that it got, if any."""

    kind: str
    version: str
    run_id: str
    metrics: dict[str, float]
    seconds: float
    alias: str | None


def train_and_register(
    kind: str,
    training: Dataset,
    test: Dataset,
    tracking: Tracking,
    model: str,
    *,
    who: str,
    seed: int = 0,
    progress: Progress = no_progress,
    **changes: Any,
) -> TrainingOutcome:
    """Trains one of TRAINERS, and registers it as a new version of `model`. `changes` go to the trainer.

    Raises RegistrationRefused where the graph and the estimator differ on the test rows.
    """
    started = time.monotonic()
    trained = TRAINERS[kind](training, seed=seed, progress=progress, **changes)
    # The classes in the estimator's own order, which is that of its probabilities.
    classes = tuple(str(label) for label in trained.estimator.classes_)
    graph = serving_form(trained.graph, classes, positive=POSITIVE)
    candidate = Candidate(
        kind=kind,
        graph=graph,
        classes=classes,
        positive=POSITIVE,
        id_column=ID_COLUMN,
        label_column=LABEL_COLUMN,
        profile=training_profile(training.features, input_columns(graph)),
        texts=shown_texts(training.features, input_columns(graph)),
        training_ids=None if training.ids is None else training_sketch(training.ids),
        training_sha256=training.sha256,
    )
    with tracking.run(kind, trained.parameters, {"kind": kind}) as run_id:
        tracking.log_data(training.name, training.sha256, training.features, "training")
        tracking.log_data(test.name, test.sha256, test.features, "test")
        tracking.log_history(run_id, trained.history)
        scores = check_against_estimator(candidate, test.features, trained.estimator.predict_proba(test.features))
        metrics = measure(test, scores, classes)
        tracking.log_test(metrics, test.labels, scores, classes, POSITIVE)
        short = {"accuracy": "test_accuracy", "auc": "test_roc_auc", "log_loss": "test_log_loss"}
        tags = {f"{METADATA_KEY}.{name}": f"{metrics[metric]:.4f}" for name, metric in short.items()}
        version = register(candidate, test.features, tracking, model, tags)
    alias = give_first_alias(tracking, model, kind, version, who)
    return TrainingOutcome(kind, version, run_id, metrics, time.monotonic() - started, alias)


def measure(test: Dataset, scores: Scores, classes: tuple[str, ...]) -> dict[str, float]:
    """Accuracy, area under the ROC curve and log loss of what the graph answers on the test rows."""
    chance = scores.probabilities[:, classes.index(POSITIVE)].astype(np.float64)
    positive = test.labels == POSITIVE
    return {
        "test_accuracy": float(accuracy_score(test.labels.astype(str), scores.labels.astype(str))),
        "test_roc_auc": float(roc_auc_score(positive, chance)),
        "test_log_loss": float(log_loss(positive, chance)),
    }


def give_first_alias(tracking: Tracking, model: str, kind: str, version: str, who: str) -> str | None:
    """Gives a kind's alias to its version where nobody has it yet: a worker needs something to begin with."""
    alias = FIRST_ALIAS.get(kind)
    if alias is None or alias in tracking.client.get_registered_model(model).aliases:
        return None
    why = f"the first {kind}, registered when nothing was in {alias}"
    move(tracking.client, model, alias, version, who=who, why=why, when=datetime.now(UTC))
    return alias
