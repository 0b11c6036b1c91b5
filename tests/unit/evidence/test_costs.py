"""The matrix of costs: from JSON or CSV; what is wrong with it is named by file, row and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.evidence.figures.measures.bad_measure import BadMeasure
from models.evidence.figures.measures.costs import Costs

CSV = "true \\ predicted,no,yes\nyes,5,-2.5\nno,0,1\n"
JSON = '{"no": {"no": 0, "yes": 1}, "yes": {"yes": -2.5, "no": 5}}'
EXPECTED = ((0.0, 1.0), (5.0, -2.5))


@pytest.mark.parametrize("text", [CSV, JSON, "\ufeff" + CSV, CSV.replace(",", " , ")])
def test_it_is_read_from_a_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "costs"
    path.write_text(text, encoding="utf-8")
    assert Costs.read(str(path)).matrix(("no", "yes")) == EXPECTED


def test_it_is_read_as_json() -> None:
    assert Costs.read(JSON).matrix(("no", "yes")) == EXPECTED
    assert Costs.read(JSON).matrix(("yes", "no")) == ((-2.5, 5.0), (1.0, 0.0))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (CSV.replace("-2.5", "much"), r"costs, row 'yes', column 'yes': 'much' is no number"),
        (CSV.replace("-2.5", "nan"), r"costs, row 'yes', column 'yes': 'nan' is no number"),
        (CSV.replace("-2.5", ""), r"costs, row 'yes', column 'yes': '' is no number"),
        (JSON.replace("-2.5", "true"), r"costs, row 'yes', column 'yes': True is no number"),
        (JSON.replace("-2.5", "NaN"), r"costs, row 'yes', column 'yes': nan is no number"),
        (CSV.replace("no,0,1\n", ""), r"costs: no cost is given for row 'no' .*, column 'no'"),
        (JSON.replace(', "no": 5', ""), r"costs: no cost is given for row 'yes' .*, column 'no'"),
        (CSV.replace("no,0,1", "no,0"), r"costs, row 'no': has 1 costs for 2 columns"),
        (CSV + "maybe,1,2\n", r"costs: 'maybe' is none of the classes no, yes"),
        (CSV + "no,1,2\n", r"costs, row 'no': .* is twice"),
        ("a,no,yes\nno,1,1\nyes,2,2\n", r"costs: every answer to a row costs the same"),
        ("", r"costs takes a first row of predicted classes"),
        ('{"no": 3}', r"costs: each true class takes the costs of each predicted class"),
        ("{", r"costs is no JSON"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "costs"
    path.write_text(text)
    with pytest.raises(BadMeasure, match=says):
        Costs.read(str(path)).matrix(("no", "yes"))


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(BadMeasure, match=r"the costs in 'nowhere.csv' cannot be read: No such file"):
        Costs.read("nowhere.csv")
