"""Rows that came before, and rows that a model was fitted on: said at the top, and not promoted on unasked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from models.evidence.judging.watcher import Watcher
from models.evidence.pages.registry_page import VERDICT_TAG, RegistryPage
from models.evidence.record.sketch import training_sketch
from models.registry.client import Registry
from tests.unit.evidence.conftest import Run, Summary
from tests.unit.evidence.house import House, answered, registry
from tests.unit.registered import MODEL
from transport.bucket import put

HEADER_WITHOUT_ID = "colour,weight,age,label"
DAYS = 10
ROWS_OF_A_DAY = 1_000


@pytest.fixture(scope="module")
def cumulative(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Ten exports, each with all rows of the days before."""
    house = House(tmp_path_factory.mktemp("cumulative"))
    for day in range(1, DAYS + 1):
        house.drop(f"export {day:02}.csv", answered(range(day * ROWS_OF_A_DAY)))
    return house


def promoted(address: str) -> str | None:
    return Registry(address, MODEL).resolve("production")


def test_the_share_of_cumulative_exports_is_estimated_and_warned_of_at_the_top(
    cumulative: House, run: Run, summary: Summary, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--bucket", str(cumulative.at))
    data = summary(*where)

    rows = ROWS_OF_A_DAY * DAYS * (DAYS + 1) // 2
    truth = 1 - DAYS * ROWS_OF_A_DAY / rows
    assert data["rows"]["labelled"] == rows
    assert data["seen_before"]["repeated"]["value"] == pytest.approx(truth, abs=0.05)
    assert data["seen_before"]["repeated"]["sample"] == 256
    assert "of the labelled rows have an id that an earlier row had" in data["seen_before"]["doubts"][0]
    # the text and the page say so before the verdict
    page = tmp_path / "report.html"
    assert run("compare", *where, "--html", str(page)) == 0
    for text in (capsys.readouterr().out, page.read_text().partition("<body>")[2]):
        assert 0 < text.index("Not to be acted on") < text.index("Staging is better")
    assert "promote staging" not in page.read_text()


def test_promote_refuses_repeated_rows_unless_told_to_go_on_which_is_kept(
    cumulative: House, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = registry(tmp_path)
    where = ("--bucket", str(cumulative.at))
    for condition in ("--if-better", "--no-worse"):
        assert run("promote", "staging", condition, *where) == 3
        told = capsys.readouterr().err
        assert "of the labelled rows have an id that an earlier row had" in told
        assert "--even-if-seen-before" in told
        assert promoted(address) == "1"

    assert run("promote", "staging", "--if-better", "--even-if-seen-before", *where) == 0

    assert promoted(address) == "2"
    capsys.readouterr()
    assert run("history", "--json") == 0
    why = [move["why"] for move in json.loads(capsys.readouterr().out) if move["alias"] == "production"][-1]
    assert "Promoted all the same, although" in why
    assert "have an id that an earlier row had" in why


@pytest.mark.parametrize(("alias", "kept"), [("production", "its digest"), ("staging", "its ids")])
def test_rows_that_a_version_was_fitted_on_are_no_evidence(
    house: House, run: Run, summary: Summary, tmp_path: Path, capsys: pytest.CaptureFixture[str], alias: str, kept: str
) -> None:
    # given a version fitted on 600 of 1,000 labelled rows
    if kept == "its ids":
        survey, training = answered(range(600)), {"ids": training_sketch([f"p-{n}" for n in range(600)]).to_json()}
        files = survey, answered(range(600, 1_000))
    else:  # a file without ids is known by its bytes alone
        files = tuple(answered(part, header=HEADER_WITHOUT_ID) for part in (range(600), range(600, 1_000)))
        training = {"ids": None, "sha256": hashlib.sha256(files[0]).hexdigest()}
    address = registry(tmp_path, **{alias: training})
    for name, content in zip(("survey.csv", "new.csv"), files, strict=True):
        house.drop(name, content)

    seen = summary()["seen_before"]

    learned = {side: seen[f"learned_by_{side}"] for side in ("production", "staging")}
    other = "staging" if alias == "production" else "production"
    assert learned[alias]["value"] == pytest.approx(0.6, abs=0.1)
    assert learned[other] is None
    assert seen["doubts"][0].startswith(f"{alias} was fitted on ")
    for condition in ("--if-better", "--no-worse"):
        assert run("promote", "staging", condition) == 3
        assert f"{alias} was fitted on " in capsys.readouterr().err
    assert run("promote", "staging", "--if-better", "--even-if-seen-before") == 0
    assert promoted(address) == "2"


def test_new_rows_are_evidence_for_a_version_whose_training_is_known(
    house: House, run: Run, summary: Summary, tmp_path: Path
) -> None:
    kept = {"ids": training_sketch([f"p-{n}" for n in range(600)]).to_json(), "sha256": "ab" * 32}
    address = registry(tmp_path, production=kept, staging=kept)
    house.drop("new.csv", answered(range(600, 1_000)))

    seen = summary()["seen_before"]

    assert (seen["learned_by_production"]["value"], seen["learned_by_staging"]["value"]) == (0, 0)
    assert run("promote", "staging", "--if-better") == 0
    assert promoted(address) == "2"


def test_ids_are_the_same_with_blanks_around_and_gaps_are_none(house: House, summary: Summary) -> None:
    rows = answered(range(100)).decode()
    house.drop("a.csv", rows.encode())
    house.drop("b.csv", rows.replace("p-", "\u00a0 p-").encode())
    house.drop(
        "c.csv",
        "\n".join(
            line if not at else f"NA,{line.split(',', 1)[1]}"
            for at, line in enumerate(answered(range(100, 200)).decode().splitlines())
        ).encode(),
    )

    repeated = summary()["seen_before"]["repeated"]

    assert (repeated["value"], repeated["error"], repeated["sample"]) == (0.5, 0, 100)


def test_the_version_s_page_warns_too(house: House, tmp_path: Path) -> None:
    kept = {"ids": training_sketch([f"p-{n}" for n in range(400)]).to_json()}
    known = Registry(registry(tmp_path, staging=kept), MODEL)
    house.drop("survey.csv", answered(range(400)))

    assert Watcher(house.bucket, known, RegistryPage(known)).look()

    version = known.client.get_model_version(MODEL, "2")
    assert "Not to be acted on: staging was fitted on 100.0 % of the labelled rows" in version.description
    assert version.tags[VERDICT_TAG] == "staging is better"


def test_what_is_not_known_of_a_training_is_said(
    house: House, run: Run, summary: Summary, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry(tmp_path)
    house.drop("new.csv", answered(range(400)))
    (tmp_path / "2" / "MLmodel").rename(tmp_path / "2" / "elsewhere")

    assert any("Whether a model has learned from these rows is not known" in note for note in summary()["notes"])


def test_labels_of_later_are_joined_to_rows_that_repeat(house: House, summary: Summary) -> None:
    content = answered(range(300), header="id,colour,weight,age")
    house.drop("a.csv", content)
    house.drop("b.csv", content + answered([300], header="id,colour,weight,age").partition(b"\n")[2])
    put(house.bucket, "labels/all.csv", answered(range(301), header="id,label"))

    data = summary()

    assert data["rows"]["labelled"] == 601
    assert data["seen_before"]["repeated"]["value"] == pytest.approx(300 / 601, abs=0.01)
