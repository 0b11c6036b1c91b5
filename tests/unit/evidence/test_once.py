"""A content counts once, however often it is copied, touched or dropped under another name."""

from __future__ import annotations

import json

import pytest

from ledger.names import COMPARISONS
from tests.unit.evidence.conftest import Run, Summary
from tests.unit.evidence.house import House, answered
from transport.bucket import get, put

ROWS = answered(range(200))
NO_IDS = answered(range(200), header="colour,weight,age,label")


def test_copied_touched_and_renamed_rows_count_once_and_how_many_were_left_out_is_said(
    house: House, run: Run, summary: Summary, capsys: pytest.CaptureFixture[str]
) -> None:
    # given the same 200 rows copied over three times, touched ten times, and dropped under another name
    for _ in range(4):
        house.drop("monday.csv", ROWS)
    for _ in range(10):
        house.touch("monday.csv")
    house.drop("a copy of monday.csv", ROWS)
    assert len(list(house.bucket.objects(COMPARISONS))) == 15

    data = summary()

    assert (data["rows"]["labelled"], data["rows"]["read"], data["files"]) == (200, 200, 1)
    assert (data["seen_before"]["copies"], data["seen_before"]["copied_rows"]) == (14, 2_800)
    assert data["seen_before"]["repeated"]["value"] == 0
    assert data["seen_before"]["doubts"] == []
    assert run("compare") == 0
    assert "Left out, as their content has counted already: 2,800 rows, in 14 files." in capsys.readouterr().out


def test_without_ids_equal_rows_under_another_name_may_be_others(house: House, summary: Summary) -> None:
    house.drop("monday.csv", NO_IDS)
    house.touch("monday.csv")
    house.drop("tuesday.csv", NO_IDS)

    data = summary()

    assert (data["rows"]["labelled"], data["files"], data["seen_before"]["copies"]) == (400, 2, 1)
    assert data["seen_before"]["repeated"] is None


def test_new_content_under_an_old_name_counts_beside_the_old(house: House, summary: Summary) -> None:
    house.drop("day.csv", ROWS)
    house.drop("day.csv", answered(range(200, 400)))
    house.drop("day.csv", ROWS)

    data = summary()

    assert (data["rows"]["labelled"], data["files"], data["seen_before"]["copies"]) == (400, 2, 1)


def test_labels_that_come_after_a_touch_find_their_rows(house: House, summary: Summary) -> None:
    # given rows without labels, whose file is touched: the outputs are now those of its newest generation
    lines = [line.rsplit(",", 1) for line in ROWS.decode().splitlines()]
    house.drop("monday.csv", "\n".join([lines[0][0], *(cells for cells, _ in lines[1:])]).encode())
    house.touch("monday.csv")

    put(
        house.bucket,
        "labels/day.csv",
        "\n".join(["id,label", *(f"{c.split(',')[0]},{y}" for c, y in lines[1:])]).encode(),
    )

    data = summary()
    assert (data["rows"]["labelled"], data["files"], data["seen_before"]["copies"]) == (200, 1, 1)


def test_records_of_before_digests_and_ids_were_kept_count_as_they_did(house: House, summary: Summary) -> None:
    for _ in range(2):
        house.drop("monday.csv", ROWS)
    for info in list(house.bucket.objects(COMPARISONS)):
        record = json.loads(get(house.bucket, info.name))
        for name in ("ids", "identified", "unknown"):
            del record[name]
        for name in ("sha256", "encoding"):
            del record["file"][name]
        put(house.bucket, info.name, json.dumps(record).encode())

    data = summary()

    assert (data["rows"]["labelled"], data["files"]) == (400, 2)
    assert data["seen_before"]["repeated"] is None
