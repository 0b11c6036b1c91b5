"""What a registration keeps of the training rows is found again in a file of them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from models.register_sklearn import register_sklearn
from models.registry.client import Registry
from tests.unit.evidence.conftest import Run, Summary
from tests.unit.evidence.house import House, answered
from tests.unit.registered import MODEL, new_registry
from worker.versions.swap import InForce

HEADER = "id,weight,age,label"


@pytest.mark.slow
def test_a_survey_that_a_model_was_fitted_on_is_no_evidence_for_it(
    run: Run, summary: Summary, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given two models registered with the rows that they were fitted on, of which staging's came with their ids
    survey = answered(range(500), header=HEADER)
    rows = pd.read_csv(io.BytesIO(survey))
    columns, address = ["weight", "age"], new_registry(tmp_path)
    inputs = rows[columns].astype(np.float64)
    for estimator, training in (
        (DecisionTreeClassifier(max_depth=1, random_state=0), inputs),
        (LogisticRegression(), inputs.assign(id=rows["id"])),
    ):
        estimator.fit(inputs, rows["label"])
        register_sklearn(
            estimator,
            inputs,
            training_rows=training,
            columns=columns,
            model=MODEL,
            id_column="id",
            label_column="label",
            tracking_uri=address,
        )
    known = Registry(address, MODEL)
    for alias, version in (("production", "1"), ("staging", "2")):
        known.client.set_registered_model_alias(MODEL, alias, version)
    house = House(tmp_path, InForce(*(known.fetch(version, tmp_path / "cache") for version in "12")))

    # when the survey is dropped beside rows that are new to both
    house.drop("survey.csv", survey)
    house.drop("new.csv", answered(range(500, 1_000), header=HEADER))

    seen = summary()["seen_before"]
    assert seen["learned_by_production"] is None
    assert seen["learned_by_staging"]["value"] == pytest.approx(0.5, abs=0.1)
    assert run("promote", "staging", "--no-worse") == 3
    assert "staging was fitted on " in capsys.readouterr().err
    assert known.resolve("production") == "1"
