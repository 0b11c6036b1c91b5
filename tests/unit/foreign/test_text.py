"""A graph that takes text apart needs a locale: with it it answers as its library, without it is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from models.registry.spec import Column, ModelSpec, UnfitModel
from models.scoring.scorer import Scorer
from models.training.foreign import foreign_candidate
from models.training.register import Candidate, RegistrationRefused
from tests.emulators import missing

C_UTF8 = Path("/usr/lib/locale/C.utf8")
WORDS = ["GUT", "schlecht", "Öde", "ärgerlich", "Straße", "ФИЛЬМ"]

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def remarks() -> pd.DataFrame:
    random = np.random.default_rng(2)
    return pd.DataFrame({"remark": [" ".join(random.choice(WORDS, 4)) for _ in range(200)]})


@pytest.fixture
def labels(remarks: pd.DataFrame) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = np.where(remarks.remark.str.contains("GUT|Öde"), "good", "bad")
    return found


@pytest.fixture
def fitted(remarks: pd.DataFrame, labels: np.ndarray[Any, Any]) -> Any:
    words = CountVectorizer(token_pattern="[^ ]+")
    return make_pipeline(words, LogisticRegression()).fit(remarks.remark, labels)


def registered(fitted: Any, rows: pd.DataFrame, folder: Path) -> Candidate:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import StringTensorType

    onnx.save(convert_sklearn(fitted, "text", [("remark", StringTensorType([None, 1]))]), folder / "text.onnx")
    rows.to_csv(folder / "rows.csv", index=False)
    return foreign_candidate(folder / "text.onnx", example=folder / "rows.csv")[0]


def test_the_images_second_name_of_c_utf8_will_do(
    fitted: Any, remarks: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not C_UTF8.is_dir():
        missing(f"this machine has no {C_UTF8}, as Debian has")
    (tmp_path / "en_US.utf8").symlink_to(C_UTF8)
    monkeypatch.setenv("LOCPATH", str(tmp_path))

    made = registered(fitted, remarks, tmp_path)

    scores = made.score(remarks)
    np.testing.assert_allclose(scores.probabilities, fitted.predict_proba(remarks.remark), atol=1e-5)
    assert list(scores.labels) == list(fitted.predict(remarks.remark))


def test_without_the_locale_the_registration_and_a_worker_say_what_to_install(
    fitted: Any, remarks: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    monkeypatch.setenv("LOCPATH", str(nothing))
    said = "needs the locale en_US.UTF-8, which this machine lacks: as root `apt-get install locales` and `localedef"

    with pytest.raises(RegistrationRefused, match=said):
        registered(fitted, remarks, tmp_path)
    spec = ModelSpec("remarks", "1", "", (Column("remark", is_text=True),), ("bad", "good"))
    with pytest.raises(UnfitModel, match=f"remarks version 1 takes text apart and {said}"):
        Scorer((tmp_path / "text.onnx").read_bytes(), spec)
