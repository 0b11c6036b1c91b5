"""One logged model of each library is adopted, staged, and scored in the shadow, by the real programs."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from deploy.waiting import wait_for
from models.registry.client import Registry
from tests.chaos.understudy import Running
from tests.unit.adoption.logged import NUMBERS, ROWS, House, columns_of_numbers_and_texts, flowers, library
from tests.unit.adoption.test_adopt import SKLEARN, hostile
from tests.unit.registered import new_registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
NAME = "flowers"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running(tmp_path, new_registry(tmp_path), tmp_path / "cache") as running:
        running.environment |= {"UNDERSTUDY_MODEL": NAME}
        yield running


@pytest.fixture
def house(running: Running) -> House:
    return House(running.registry, running.folder)


def models(running: Running, command: str, *arguments: str) -> str:
    program = running.start(f"models {command}", *arguments)
    assert program.status() == 0, program.log.read_text()
    return program.log.read_text()


def log_one_of_each(house: House) -> dict[str, tuple[str, list[str]]]:
    """Version → its options of `adopt` beside --trust, and the columns that it takes."""
    rows, kinds = flowers()
    numbers, learned = rows[NUMBERS], slice(0, 300)
    example = {"input_example": numbers.head(40)}
    pipeline = make_pipeline(columns_of_numbers_and_texts(), LogisticRegression()).fit(rows[learned], kinds[learned])
    xgboost = library("xgboost").XGBClassifier(n_estimators=20).fit(numbers, kinds)
    lightgbm = library("lightgbm").LGBMClassifier(n_estimators=20, verbose=-1).fit(numbers, kinds)
    catboost = library("catboost").CatBoostClassifier(20, verbose=0, allow_writing_files=False).fit(numbers, kinds)
    return {
        house.log("sklearn", pipeline, NAME, input_example=rows.head(40), **SKLEARN): [*NUMBERS, "colour"],
        house.log("xgboost", xgboost, NAME, **example): NUMBERS,
        house.log("lightgbm", lightgbm, NAME, **example): NUMBERS,
        house.log("catboost", catboost, NAME, **example): NUMBERS,
    }


def log_the_old_pair(house: House) -> tuple[str, str]:
    """A forest and a Keras network behind one pickled preprocessing; their versions."""
    keras, (rows, kinds) = library("keras"), flowers()
    preprocessing = columns_of_numbers_and_texts().fit(rows[:300])
    features = preprocessing.transform(rows)
    (house.folder / "preprocess.pickle").write_bytes(pickle.dumps(preprocessing))
    rows.to_csv(house.folder / "raw.csv", index=False)
    forest = RandomForestClassifier(20, random_state=0).fit(features[:300], kinds[:300])
    layers = [keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1, activation="sigmoid")]
    network = keras.Sequential([keras.Input((features.shape[1],)), *layers])
    network.compile(loss="binary_crossentropy")
    network.fit(features[:300], kinds[:300].astype(float), verbose=0, epochs=3)
    return house.log("sklearn", forest, NAME, **SKLEARN), house.log("tensorflow", network, NAME)


def scored(running: Running, name: str, place: str = "") -> pd.DataFrame:
    path = running.root / "output" / place / f"pred_{name}"
    wait_for(path.exists, f"{path}")
    return pd.read_csv(path)


def drop(running: Running, name: str, rows: pd.DataFrame) -> None:
    running.drop(name, rows.to_csv(index=False).encode())


def test_a_version_of_each_library_serves_in_the_shadow(running: Running, house: House) -> None:
    logged = log_one_of_each(house)
    adopted = {}
    for version in logged:
        said = models(running, "adopt", f"models:/{NAME}/{version}", "--trust")
        assert f"answers as models:/{NAME}/{version} on 40 rows" in said
        adopted[version] = str(len(logged) + int(version))
    models(running, "promote", adopted["1"])
    worker = running.worker()
    running.ready(worker)
    running.publisher()
    rows, _ = flowers()

    for version, columns in logged.items():
        if version != "1":
            models(running, "stage", adopted[version])
            worker.wait_for_log("version in force", alias="staging", version=adopted[version])
        drop(running, f"{version}.csv", rows)
        place = "" if version == "1" else "shadow"
        own = np.ravel(house.answers(NAME, version, rows[columns]))
        assert list(scored(running, f"{version}.csv", place)["prediction"].astype(str)) == [str(one) for one in own]
        assert len(own) == ROWS


def test_the_old_pair_becomes_production_and_staging(running: Running, house: House) -> None:
    library("tf2onnx")
    forest, network = log_the_old_pair(house)
    beside = ("--preprocess", str(house.folder / "preprocess.pickle"), "--example", str(house.folder / "raw.csv"))
    for version in (forest, network):
        models(running, "adopt", f"models:/{NAME}/{version}", "--trust", "--classes", "iris,rose", *beside)
    models(running, "promote", "3")
    models(running, "stage", "4")
    worker = running.worker()
    running.ready_with_shadow(worker)
    running.publisher()
    rows, _ = flowers()

    drop(running, "survey.csv", rows)

    features = pickle.loads((house.folder / "preprocess.pickle").read_bytes()).transform(rows)
    own: Any = house.answers(NAME, forest, features), house.answers(NAME, network, features.astype(np.float32))
    production, staging = scored(running, "survey.csv"), scored(running, "survey.csv", "shadow")
    assert list(production["prediction"]) == [("iris", "rose")[kind] for kind in own[0]]
    assert np.abs(staging["probability"] - np.ravel(own[1])).max() < 1e-5


def test_a_worker_runs_nothing_of_a_logged_model(running: Running, house: House) -> None:
    # given a worker that serves, and a version whose pickle would write a file
    trace = hostile(house)
    rows, kinds = flowers()
    house.log("sklearn", LogisticRegression().fit(rows[NUMBERS].fillna(0), kinds), NAME, **SKLEARN)
    rows[NUMBERS].fillna(0).to_csv(house.folder / "raw.csv", index=False)
    models(running, "adopt", f"models:/{NAME}/2", "--trust", "--example", str(house.folder / "raw.csv"))
    models(running, "promote", "3")
    worker = running.worker()
    running.ready(worker)
    # when its alias is moved by hand, past our commands
    Registry(house.uri, NAME).client.set_registered_model_alias(NAME, "staging", "1")
    # then the worker refuses it by name, and nothing was run
    told = worker.wait_for_log("version refused", alias="staging", version="1")
    assert f"models adopt models:/{NAME}/1" in told["error"]
    assert not trace.exists()
