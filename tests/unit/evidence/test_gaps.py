"""Gaps in the training data and as many gaps in a file are no drift, in text as in numbers."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from models.training.baseline import training_profile
from tests.unit.evidence.conftest import Summary
from tests.unit.evidence.house import BIAS, House, answered
from tests.unit.registered import MODEL
from tests.worker_fixtures import SPEC, fetched
from worker.versions.swap import InForce

TYPES = {"colour": "string", "weight": "double", "age": "long"}


@pytest.mark.parametrize("gap", ["", "NA", "nan", "<NA>", " None "])
def test_as_many_gaps_as_in_training_are_no_drift(tmp_path: Path, summary: Summary, gap: str) -> None:
    # given a version fitted on rows as pandas reads them, half of whose colours are gaps
    content = answered(range(400)).replace(b",red,", f",{gap},".encode())
    training = pd.read_csv(io.BytesIO(content), skipinitialspace=True).replace("None ", None)
    assert 150 < training["colour"].isna().sum() < 250
    spec = replace(SPEC, name=MODEL, profile=training_profile(training, TYPES))
    versions = (fetched(tmp_path, str(n + 1), bias=n * BIAS, spec=spec) for n in range(2))
    house = House(tmp_path, InForce(*versions))

    # when a worker reads the same rows
    house.drop("a.csv", content)

    # then the column is what it was
    found = {column["column"]: column for column in summary()["drift"]}
    assert set(found) == set(TYPES)
    for column in found.values():
        assert (column["psi"], column["grade"]) == (0, "stable"), column
    assert found["colour"]["bins"] == ["green", "(other)", "(gap)"]
