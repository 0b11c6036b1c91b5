"""The synthetic survey: reproducible, of the survey's shape, with something to learn in it."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.__main__ import COMMANDS
from models.training.airline.dataset import TYPES, read_dataset
from models.training.airline.sample import survey, write_files
from models.training.airline.schema import CLASSES, FEATURE_COLUMNS, ID_COLUMN, LABEL_COLUMN, RATING_COLUMNS
from models.training.rows import BadRows


def test_the_same_options_write_the_same_bytes_and_another_seed_writes_others(tmp_path: Path) -> None:
    once = write_files(tmp_path / "once", files=2, rows=200, seed=7)
    again = write_files(tmp_path / "again", files=3, rows=200, seed=7)
    other = write_files(tmp_path / "other", files=1, rows=200, seed=8)
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again[:2]]
    assert other[0].read_bytes() != once[0].read_bytes()
    assert once[0].read_bytes() != once[1].read_bytes()


def test_a_file_has_the_columns_of_the_survey_in_its_order(tmp_path: Path) -> None:
    (path,) = write_files(tmp_path / "survey.csv", files=1, rows=50, seed=0)
    header, first, *rest = path.read_text().splitlines()
    assert header == ",".join(["", ID_COLUMN, *FEATURE_COLUMNS, LABEL_COLUMN])
    assert first.startswith("0,")
    assert len(rest) == 49
    assert first.split(",")[-2].endswith(".0")  # the real survey's arrival delays are floats, for their gaps


def test_ids_are_unique_over_all_files_of_one_call_and_over_seeds(tmp_path: Path) -> None:
    paths = write_files(tmp_path, files=3, rows=40, seed=0)
    ids = pd.concat([pd.read_csv(path) for path in paths])[ID_COLUMN]
    assert sorted(ids) == list(range(1, 121))
    (other,) = write_files(tmp_path / "other.csv", files=1, rows=40, seed=1)
    assert set(ids).isdisjoint(pd.read_csv(other)[ID_COLUMN])


def test_a_gzip_and_a_file_without_labels(tmp_path: Path) -> None:
    (packed,) = write_files(tmp_path / "a.csv.gz", files=1, rows=20, seed=3, labels=False)
    (plain,) = write_files(tmp_path / "a.csv", files=1, rows=20, seed=3, labels=False)
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    assert LABEL_COLUMN not in plain.read_text()


def test_values_lie_where_the_survey_allows_them_and_gaps_only_in_the_arrival_delay() -> None:
    table = survey(20_000, seed=1)
    assert set(table[LABEL_COLUMN]) == set(CLASSES)
    assert 0.40 < (table[LABEL_COLUMN] == "satisfied").mean() < 0.46
    for name in RATING_COLUMNS:
        assert table[name].between(0, 5).all(), name
    assert table["Age"].between(7, 85).all()
    gaps = table.isna().sum()
    assert 20 < gaps.pop("Arrival Delay in Minutes") < 120
    assert not gaps.any()


def test_the_strong_rules_of_the_answers_are_in_it() -> None:
    table = survey(20_000, seed=1)
    satisfied = table[LABEL_COLUMN] == "satisfied"
    assert satisfied[table["Inflight wifi service"] == 5].mean() > 0.95
    private = (table["Type of Travel"] == "Personal Travel") & table["Inflight wifi service"].between(1, 3)
    assert satisfied[private].mean() < 0.02
    delays = table[["Departure Delay in Minutes", "Arrival Delay in Minutes"]].corr().iloc[0, 1]
    assert delays > 0.9


def test_gaps_can_be_asked_for() -> None:
    assert survey(1000, seed=0, gaps=0)["Arrival Delay in Minutes"].notna().all()
    assert survey(1000, seed=0, gaps=1)["Arrival Delay in Minutes"].isna().all()


def test_several_files_under_one_file_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name a folder"):
        write_files(tmp_path / "one.csv", files=2, rows=5, seed=0)


def test_the_command_writes_and_reads_back_as_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = COMMANDS["sample"](rows=30, files=1, seed=5, out=tmp_path / "flights.csv")  # type: ignore[call-arg]
    assert command.run() == 0
    assert "30 rows" in capsys.readouterr().out
    data = read_dataset(tmp_path / "flights.csv")
    assert list(data.features) == list(TYPES)
    assert len(data) == 30
    assert data.features["Age"].dtype == np.float64


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda table: table.drop(columns=["Class", "Age"]), "the header lacks 'Age', 'Class'"),
        (lambda table: table.drop(columns=[LABEL_COLUMN]), "no column 'satisfaction'"),
        (
            lambda table: table.assign(Age=table["Age"].astype(str).where(table.index != 2, "forty")),
            "row 3, column 'Age'",
        ),
        (lambda table: table.assign(satisfaction=table[LABEL_COLUMN].where(table.index != 1, "meh")), "row 2, column"),
        (lambda table: table.head(0), "no rows"),
    ],
)
def test_a_file_that_cannot_train_is_refused_by_name_row_and_column(tmp_path: Path, spoil, said: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "bad.csv"
    spoil(survey(5, seed=0)).to_csv(path, index=False)
    with pytest.raises(BadRows, match=r"bad\.csv") as refusal:
        read_dataset(path)
    assert said in str(refusal.value)


def test_a_file_that_is_not_there_or_no_csv_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRows, match="does not exist"):
        read_dataset(tmp_path / "nothing.csv")
    (tmp_path / "picture.csv").write_bytes(bytes(range(256)))
    with pytest.raises(BadRows, match=r"picture\.csv"):
        read_dataset(tmp_path / "picture.csv")
