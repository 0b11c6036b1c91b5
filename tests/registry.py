"""A small registry with two real models: a tiny forest in production and tiny boosting in staging, no TensorFlow."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.once import made_once

MODEL = "airline-satisfaction"
TINY = {"forest": {"trees": 16}, "boosting": {"max_iter": 20, "max_leaf_nodes": 15, "early_stopping": False}}


def database(folder: Path) -> str:
    """The tracking URI of a registry in `folder`."""
    return f"sqlite:///{folder / 'mlflow.db'}"


def make_tiny_registry(folder: Path) -> None:
    """Trains and registers both models of TINY (versions 1 and 2 of MODEL) in `folder`."""
    from threadpoolctl import threadpool_limits

    from models.registry.aliases import move
    from models.training.airline.dataset import synthetic_dataset
    from models.training.airline.training import train_and_register
    from models.training.tracking import Tracking

    tracking = Tracking(database(folder))
    training, test = synthetic_dataset(1500, seed=1), synthetic_dataset(300, seed=2)
    with threadpool_limits(1):  # more threads than free cores make so small a training many times slower
        for kind, changes in TINY.items():
            made = train_and_register(kind, training, test, tracking, MODEL, who="tests", **changes)
    move(tracking.client, MODEL, "staging", made.version, who="tests", why="the tiny registry", when=datetime.now(UTC))


def copy_registry(uri: str, folder: Path) -> str:
    """A registry of one's own to move aliases in and register to; the files of the versions so far are shared."""
    # By SQLite itself: what its last connections have not yet moved from the log into the file belongs to it too.
    paths = uri.removeprefix("sqlite:///"), folder / "mlflow.db"
    with closing(sqlite3.connect(paths[0])) as source, closing(sqlite3.connect(paths[1])) as target:
        source.backup(target)
    return database(folder)


@pytest.fixture(scope="session")
def tiny_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The tracking URI of the tiny registry. For reading: who writes takes a `copy_registry` of it."""
    uri = database(made_once(tmp_path_factory, "tiny_registry", make_tiny_registry))
    yield uri
    assert aliases(uri) == {"production": 1, "staging": 2}, (
        "a test has moved aliases in the registry that all tests read"
    )


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the fetched versions of the tiny registry, shared by all tests."""
    return tmp_path_factory.mktemp("model_cache")


def aliases(uri: str) -> dict[str, int]:
    """The versions that the aliases of a registry in a SQLite file name."""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as registry:
        return dict(registry.execute("SELECT alias, version FROM registered_model_aliases"))
