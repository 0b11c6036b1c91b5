"""`models adopt`: what was logged in its own library serves with the same answers, or a sentence says why not."""

from __future__ import annotations

import io
import pickle
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

from edge.command import main
from models.__main__ import COMMANDS
from models.registry.client import Registry
from models.registry.spec import UnfitModel
from tests.unit.adoption.logged import NUMBERS, House, columns_of_numbers_and_texts, flowers, library
from tests.unit.registered import graph

NAME = "flowers"
SKLEARN: dict[str, Any] = {"serialization_format": "cloudpickle"}


def adopt(*arguments: str) -> int:
    return main("models", "", COMMANDS, arguments=["adopt", *arguments])


def pipeline() -> Any:
    rows, kinds = flowers()
    named = np.array(["iris", "rose"], dtype=object)[kinds]
    return make_pipeline(columns_of_numbers_and_texts(), LogisticRegression()).fit(rows[:300], named[:300])


def boosted(module: str, classifier: str, **options: Any) -> Callable[[], Any]:
    def make() -> Any:
        rows, kinds = flowers()
        return getattr(library(module), classifier)(n_estimators=20, **options).fit(rows[NUMBERS], kinds)

    return make


def booster() -> Any:
    """What `lightgbm.train` gives, which is no classifier of scikit-learn's kind."""
    lightgbm, (rows, kinds) = library("lightgbm"), flowers()
    return lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(rows[NUMBERS], kinds), 10)


@pytest.mark.parametrize(
    ("flavor", "make", "columns", "options"),
    [
        pytest.param("sklearn", pipeline, [*NUMBERS, "colour"], SKLEARN, id="scikit-learn"),
        pytest.param("xgboost", boosted("xgboost", "XGBClassifier"), NUMBERS, {}, id="XGBoost"),
        pytest.param("lightgbm", boosted("lightgbm", "LGBMClassifier", verbose=-1), NUMBERS, {}, id="LightGBM"),
        pytest.param(
            "catboost",
            boosted("catboost", "CatBoostClassifier", verbose=0, allow_writing_files=False),
            NUMBERS,
            {},
            id="CatBoost",
        ),
        pytest.param("lightgbm", booster, NUMBERS, {}, id="a booster of LightGBM's"),
    ],
)
def test_the_new_version_answers_as_the_logged_one(
    house: House,
    capsys: pytest.CaptureFixture[str],
    flavor: str,
    make: Callable[[], Any],
    columns: list[str],
    options: dict[str, Any],
) -> None:
    rows = flowers()[0][columns]
    version = house.log(flavor, make(), NAME, input_example=rows.head(40), **options)

    assert adopt(f"models:/{NAME}/{version}", "--trust") == 0, capsys.readouterr().err

    said = capsys.readouterr().out
    assert f"{NAME} version 2 answers as models:/{NAME}/1 on 40 rows" in said
    assert f"models stage 2 --model {NAME}" in said
    own, served = house.answers(NAME, "1", rows), house.served(NAME, "2", rows)
    if own.dtype.kind == "f":  # a booster gives the probability of the second class
        assert np.abs(own - served.probabilities[:, 1]).max() < 1e-5
    else:
        assert [str(label) for label in np.ravel(own)] == list(served.labels)
    tags = {entry.version: entry.tags for entry in Registry(house.uri, NAME).versions()}["2"]
    assert tags["understudy.adopted_from"] == f"models:/{NAME}/1"
    assert tags["understudy.adopted_flavor"] == flavor


def test_another_registry_of_the_shell_is_not_asked(
    house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    house.log("sklearn", pipeline(), NAME, input_example=flowers()[0].head(20), **SKLEARN)
    mlflow = library("mlflow")
    mlflow.set_registry_uri(f"sqlite:///{house.folder / 'another.db'}")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{house.folder / 'another.db'}")

    assert adopt(f"models:/{NAME}/1", "--trust") == 0

    assert f"{NAME} version 2 answers as models:/{NAME}/1" in capsys.readouterr().out
    assert not (house.folder / "another.db").exists()


@pytest.mark.slow
def test_aliases_runs_and_folders_name_models_too(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    import mlflow

    rows, _ = flowers()
    house.log("sklearn", pipeline(), NAME, input_example=rows.head(30), **SKLEARN)
    client = Registry(house.uri, NAME).client
    client.set_registered_model_alias(NAME, "champion", "1")
    run = client.get_model_version(NAME, "1").run_id
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(pipeline(), house.folder / "saved", input_example=rows.head(30), **SKLEARN)

    assert adopt(f"models:/{NAME}@champion", "--trust") == 0
    assert adopt(f"runs:/{run}/model", "--trust", "--model", "others") == 0
    assert adopt(str(house.folder / "saved"), "--trust", "--model", "others") == 0
    assert "others version 2" in capsys.readouterr().out
    assert adopt(f"runs:/{run}/model", "--trust") == 1
    assert "is of no registered model: name one with --model" in capsys.readouterr().err


class Writes:
    """Loading it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.write_text, (self.path, "was run"))


def hostile(house: House) -> Path:
    """Logs a scikit-learn model in whose place a pickle lies that writes a file; gives the path of that file."""
    trace = house.folder / "trace"
    house.log("sklearn", pipeline(), NAME, input_example=flowers()[0].head(5), **SKLEARN)
    [file] = house.folder.rglob("model.pkl")
    file.write_bytes(pickle.dumps(Writes(trace)))
    return trace


def test_nothing_is_run_unless_it_is_trusted(
    house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = hostile(house)

    assert adopt(f"models:/{NAME}/1") == 1  # no terminal to ask at

    said = capsys.readouterr().err
    for part in (f"models:/{NAME}/1", "is of flavor sklearn", "logged by ", "in run ", "Nothing was run; --trust"):
        assert part in said

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert adopt(f"models:/{NAME}/1") == 1
    assert "Do you trust them? [y/N]" in capsys.readouterr().err
    assert not trace.exists()
    # A worker, the example before a promotion and the listing run none of it either.
    with pytest.raises(UnfitModel, match=f"models adopt models:/{NAME}/1"):
        Registry(house.uri, NAME).fetch("1", house.folder / "cache")
    assert main("models", "", COMMANDS, arguments=["promote", "1", "--model", NAME]) == 1
    assert main("models", "", COMMANDS, arguments=["list", "--model", NAME]) == 0
    assert not trace.exists()
    # Where it is trusted it is run: so the file is a trace indeed.
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert adopt(f"models:/{NAME}/1") == 1
    assert trace.read_text() == "was run"
    assert len(Registry(house.uri, NAME).versions()) == 1


def test_stage_and_promote_name_the_command(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.log("sklearn", pipeline(), NAME, **SKLEARN)
    for command in ("stage", "promote"):
        assert main("models", "", COMMANDS, arguments=[command, "1", "--model", NAME]) == 1
        assert "is of flavor python_function, sklearn, and workers run ONNX only: `python -m models adopt " in (
            capsys.readouterr().err
        )
    assert Registry(house.uri, NAME).aliases() == {}


@pytest.mark.slow
def test_what_is_lacking_is_asked_for_by_name(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    rows, kinds = flowers()
    filled = rows[NUMBERS].fillna(0)
    on_numpy = LogisticRegression().fit(filled.to_numpy(), kinds)
    house.log("sklearn", pipeline(), NAME, **SKLEARN)  # 1: no example
    house.log("sklearn", on_numpy, NAME, input_example=filled.to_numpy()[:20], **SKLEARN)  # 2: columns without names
    house.log("sklearn", LinearRegression().fit(filled, kinds), NAME, input_example=filled.head(), **SKLEARN)  # 3
    filled.to_csv(house.folder / "raw.csv", index=False)
    capsys.readouterr()  # what MLflow says of its versions

    def refusal(version: str, *options: str) -> str:
        assert adopt(f"models:/{NAME}/{version}", "--trust", *options) == 1
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    assert "was logged without an input_example: give raw rows, --example FILE.csv" in refusal("1")
    assert "whose columns have no names: name them in order, --input-columns A,B,…" in refusal("2")
    assert "LinearRegression has no classes" in refusal("3")
    assert "--classes says a, and the model has 0, 1" in refusal("2", "--classes", "a")
    assert "does not exist" in refusal("1", "--example", str(house.folder / "none.csv"))
    assert "does not exist" in refusal("1", "--preprocess", str(house.folder / "none.pickle"))
    assert adopt(f"models:/{NAME}/2", "--trust", "--input-columns", "a,b,c") == 0
    assert adopt(f"models:/{NAME}/2", "--trust", "--example", str(house.folder / "raw.csv")) == 0
    columns = [column.name for column in Registry(house.uri, NAME).fetch("5", house.folder).spec.columns]
    assert columns == NUMBERS


def test_a_library_that_is_missing_is_named(
    house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    house.log("sklearn", pipeline(), NAME, **SKLEARN)
    monkeypatch.setattr("models.training.adoption.flavors.find_spec", lambda name: None)

    assert adopt(f"models:/{NAME}/1", "--trust") == 1

    assert "needs sklearn, which `make adopt` installs" in capsys.readouterr().err


def test_what_is_onnx_already_is_not_adopted(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    import onnx

    house.log("sklearn", pipeline(), NAME, input_example=flowers()[0].head(20), **SKLEARN)
    assert adopt(f"models:/{NAME}/1", "--trust") == 0
    house.log("onnx", onnx.load_from_string(graph()), NAME, save_as_external_data=False)
    capsys.readouterr()

    for version, said in (
        ("2", "is a version that workers serve as it is"),
        ("3", "`python -m models register` takes"),
    ):
        assert adopt(f"models:/{NAME}/{version}", "--trust") == 1
        assert said in capsys.readouterr().err


def test_a_booster_without_probabilities_is_refused(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    xgboost, (rows, kinds) = library("xgboost"), flowers()
    learned = xgboost.train({"objective": "reg:squarederror"}, xgboost.DMatrix(rows[NUMBERS], kinds), 5)
    house.log("xgboost", learned, NAME, input_example=rows[NUMBERS].head(20))

    assert adopt(f"models:/{NAME}/1", "--trust") == 1

    assert "its objective reg:squarederror gives no probabilities: fit it with binary:logistic" in (
        capsys.readouterr().err
    )


def test_what_is_no_such_model_is_said_in_a_sentence(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    import mlflow

    class Answer(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
            return model_input

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(house.folder / "own", python_model=Answer(), pip_requirements=[])
    house.log("sklearn", pipeline(), NAME, requires=["nowhere-to-be-found==1.0"], **SKLEARN)
    [file] = house.folder.rglob("model.pkl")
    file.write_bytes(b"cnowhere_to_be_found\nThing\n.")
    for reference, said in (
        (str(house.folder), "is no logged model: it has no file MLmodel"),
        (str(house.folder / "own"), "is of flavor python_function, and scikit-learn, XGBoost"),
        ("models:/none/1", "models:/none/1 is not to be had from "),
        (f"models:/{NAME}@none", f"models:/{NAME}@none is not to be had from "),
        (f"models:/{NAME}/Production", "names no version: give its number"),
        (f"models:/{NAME}/1", "needs nowhere_to_be_found, which is not installed: `.venv/bin/python -m pip install "),
    ):
        assert adopt(reference, "--trust", "--model", NAME) == 1
        assert said in capsys.readouterr().err
    assert adopt("models:/none/1", "--mlflow-tracking-uri", f"sqlite:///{house.folder / 'none.db'}") == 1
    assert "no registry at " in capsys.readouterr().err
    assert not (house.folder / "none.db").exists()
