"""docs/files.md says what a cell means and why rows and files are rejected: its tables are tried out here."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path

import pyarrow as pa
import pytest

from edge import metrics
from models.registry.spec import Column
from models.scoring.table.columns import converted
from models.scoring.table.faults import FileFault, RowFault
from models.scoring.table.gaps import GAPS

PAGE = (Path(__file__).parents[3] / "docs" / "files.md").read_text(encoding="utf-8")
COLUMNS = {
    "text": Column("c", is_text=True, known=("Eco Plus",)),
    "number": Column("c", is_text=False),
    "whole number": Column("c", is_text=False, is_whole=True),
    "boolean": Column("c", is_text=False, is_flag=True, is_boolean=True),
    "number that was 0 or 1 in training": Column("c", is_text=False, is_flag=True),
}


def rows_under(first: str) -> list[list[str]]:
    """The rows of the table whose header begins with `first`."""
    lines = PAGE[PAGE.index(f"\n| {first} |") :].strip().splitlines()[2:]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in takewhile(lambda line: "|" in line, lines)
    ]


def quoted(cell: str) -> str:
    """What stands between the backticks, with its blanks."""
    return re.fullmatch(r"`(.+)`", cell).group(1)


def meaning(column: Column, cell: str, *, decimal_comma: bool = False) -> object:
    found = converted(pa.array([cell]), column, decimal_comma=decimal_comma)
    if found.bad:
        return "an error"
    value = found.values[0]
    is_unknown = found.unknown is not None and found.unknown[0]
    return f"the text {value}{', unknown' if is_unknown else ''}" if column.is_text else value


def said(words: str) -> object:
    """The meaning that the page gives, as `meaning` says it."""
    if words.startswith("the text"):
        text = re.match(r"the text `(.+?)`", words).group(1)
        return f"the text {text}{', unknown' if 'unknown' in words else ''}"
    return words if words == "an error" else float(words)


CELLS = rows_under("column of the model")


def test_every_kind_of_column_is_on_the_page():
    assert {column for column, _, _ in CELLS} == set(COLUMNS)


@pytest.mark.parametrize(("column", "cell", "means"), CELLS, ids=[f"{column} {cell}" for column, cell, _ in CELLS])
def test_a_cell_means_what_the_page_says(column, cell, means):
    plain, _, with_semicolons = means.partition("; ")

    assert meaning(COLUMNS[column], quoted(cell)) == said(plain)
    if with_semicolons:
        number = re.match(r"(\S+) where semicolons separate fields", with_semicolons).group(1)
        assert meaning(COLUMNS[column], quoted(cell), decimal_comma=True) == float(number)


def test_the_gaps_are_those_of_the_page():
    sentence = PAGE[PAGE.index("Gaps are the cells") :].partition("One of them is a text")[0]

    assert {"", "na", *re.findall(r"`([^`]+)`", sentence)} - {"pandas.read_csv"} == GAPS


def test_the_reasons_are_those_of_the_page_and_of_the_metrics():
    rows = {quoted(reason) for _, reason in rows_under("the row")}
    files = {quoted(reason) for _, reason in rows_under("the file")}

    assert rows == {*RowFault} == {*metrics_values(metrics.ROWS_REJECTED, "reason")}
    assert files == {*FileFault} == {*metrics_values(metrics.FILES_REJECTED, "reason")}


def metrics_values(collector: object, label: str) -> tuple[str, ...]:
    [metric] = [metric for metric in metrics.METRICS if metric.collector is collector]
    return metric.labels[label]
