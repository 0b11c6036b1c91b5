"""Several challengers' records: all are read, each pair by itself, and one scoring counts once in a pair."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.evidence.judging.contest import Contest
from models.evidence.judging.watcher import Watcher
from models.evidence.pages.registry_page import RegistryPage
from models.evidence.sources.records import EvidenceReader, comparison_keys
from models.registry.client import Registry
from tests.unit.compared import add_file, labels_of, spec
from tests.unit.registered import MODEL, registered
from transport.bucket import put
from transport.buckets.folder.bucket import FolderBucket

SECOND = "staging-2"
FIRST_PAIR, SECOND_PAIR = (spec("1"), spec("2")), (spec("1"), spec("3"))


@pytest.fixture
def bucket(tmp_path: Path) -> FolderBucket:
    return FolderBucket(str(tmp_path / "bucket"))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Production 1, staging 2, staging-2 3, and a version 4 of which nothing was compared as staging-3."""
    return registered(tmp_path, {"production": "1", "staging": "2", SECOND: "3", "staging-3": "4"}, versions=4)


def read(bucket: FolderBucket, contest: Contest) -> EvidenceReader:
    found = EvidenceReader(bucket, contest.fits)
    found.add(comparison_keys(bucket))
    return found


def test_the_pairs_of_all_challengers_come_from_one_reading_with_the_number_that_share_the_error(
    bucket: FolderBucket, registry: Registry
) -> None:
    for number in range(3):
        add_file(bucket, number, versions=FIRST_PAIR)
        add_file(bucket, number, versions=SECOND_PAIR, alias=SECOND, better=0.6)
    add_file(bucket, 3, versions=(spec("4"), spec("2")))

    contest = Contest.now(registry)
    assert contest is not None
    found = read(bucket, contest)
    pairs = contest.pairs(found)

    assert {alias: (first.version, second.version) for alias, (first, second) in pairs.items()} == {
        "staging": ("1", "2"),
        SECOND: ("1", "3"),
    }
    assert list(pairs) == ["staging", SECOND]
    assert contest.shares == 3
    assert [len(found.pairs[pair].files.in_order()) for pair in pairs.values()] == [3, 3]


def test_without_production_there_is_no_contest_and_without_a_challenger_no_error_is_shared(registry: Registry) -> None:
    for alias in ("staging", SECOND, "staging-3"):
        registry.client.delete_registered_model_alias(MODEL, alias)
    alone = Contest.now(registry)
    assert alone is not None
    assert (alone.challengers, alone.shares) == ({}, 1)
    registry.client.delete_registered_model_alias(MODEL, "production")
    assert Contest.now(registry) is None


def test_a_scoring_counts_once_for_a_version_that_has_moved_to_another_alias(bucket: FolderBucket) -> None:
    # given files compared under two aliases, one of them only under the second, and one scored again under the first
    for number in range(3):
        add_file(bucket, number, versions=SECOND_PAIR, alias=SECOND, better=0.6)
    for number in range(2):
        add_file(bucket, number, versions=SECOND_PAIR, alias="staging-3", better=0.6)
    add_file(bucket, 0, versions=SECOND_PAIR, better=0.6, rescore=1)

    found = read(bucket, Contest(MODEL, "1", {SECOND: "3"}))

    [pair] = found.pairs
    files = found.pairs[pair].files.in_order()
    assert [(file.name, file.file.generation[-2:] == ".1") for file in files if file.file] == [
        ("f000.csv", True),
        ("f001.csv", False),
        ("f002.csv", False),
    ]


def test_labels_that_came_later_find_the_outputs_of_each_challenger(bucket: FolderBucket) -> None:
    for number in range(3):
        add_file(bucket, number, versions=FIRST_PAIR, labelled=False, better=0.2)
        add_file(bucket, number, versions=SECOND_PAIR, labelled=False, alias=SECOND, better=0.6)
    put(bucket, "labels/all.csv", labels_of(range(3)))
    contest = Contest(MODEL, "1", {"staging": "2", SECOND: "3"})

    found = read(bucket, contest)

    won = {
        alias: sum(f.won for f in found.pairs[pair].files.in_order()) for alias, pair in contest.pairs(found).items()
    }
    assert all(found.pairs[pair].paired.sum() == 3 * 400 for pair in found.pairs)
    assert won[SECOND] > won["staging"] > 0


def test_the_watcher_writes_each_challenger_s_verdict_and_reads_what_is_new_only(
    bucket: FolderBucket, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given the records of one challenger, and then of another about the same files
    readings = []
    add = EvidenceReader.add
    monkeypatch.setattr(
        EvidenceReader, "add", lambda self, keys: add(self, readings.append(list(keys)) or readings[-1])
    )
    watching = Watcher(bucket, registry, RegistryPage(registry))
    for number in range(4):
        add_file(bucket, number, versions=FIRST_PAIR, better=0.6)
    assert watching.look()
    for number in range(4):
        add_file(bucket, number, versions=SECOND_PAIR, alias=SECOND, better=-0.6)

    assert watching.look()

    assert [len(keys) for keys in readings] == [4, 4]
    tags = [registry.client.get_model_version(MODEL, version).tags["understudy.verdict"] for version in "23"]
    assert tags == ["staging is better", "production is better"]

    # and a re-scoring, which takes a place, has all of them read again
    add_file(bucket, 0, versions=SECOND_PAIR, alias=SECOND, better=-0.6, rescore=1)
    assert watching.look()
    assert len(readings[-1]) == 9
