"""The record of the versions that served last, and the tidying of the cache that it guards."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from models.registry.cache import Shelf
from models.registry.client import PRODUCTION, STAGING, FetchedVersion
from models.registry.description.read import read_spec
from models.registry.spec import GRAPH_FILE, SPEC_FILE, UnfitModel
from tests.unit.registered import MODEL, graph, mlmodel
from worker.versions.last_good import LastGood

REGISTRY = "http://user:secret@registry"
TWO_HOURS = 7200.0


@pytest.fixture
def cached(tmp_path):
    """Makes a version as it lies in the cache, two hours old."""

    def make(version, weight=1.0):
        folder = tmp_path / MODEL / f"{version}-abc"
        folder.mkdir(parents=True)
        (folder / SPEC_FILE).write_bytes(mlmodel())
        (folder / GRAPH_FILE).write_bytes(graph(weight))
        os.utime(folder, (time.time() - TWO_HOURS,) * 2)
        digest = hashlib.sha256(graph(weight)).hexdigest()
        return FetchedVersion(read_spec(mlmodel(), MODEL, version), folder / GRAPH_FILE, digest)

    return make


@pytest.fixture
def good(tmp_path):
    return LastGood(tmp_path, REGISTRY, MODEL)


def test_what_was_noted_is_found_by_the_next_worker(good, cached, tmp_path):
    first, second = cached("1"), cached("2", 2.0)
    good.note(PRODUCTION, first)
    good.note(STAGING, second)

    again = LastGood(tmp_path, REGISTRY, MODEL)

    assert again.find(PRODUCTION) == first
    assert again.find(STAGING) == second


def test_nothing_noted_nothing_found(good):
    assert good.find(PRODUCTION) is None


def test_each_registry_has_its_own_record_which_does_not_tell_its_address(good, cached, tmp_path):
    good.note(PRODUCTION, cached("1"))

    assert LastGood(tmp_path, "http://another", MODEL).find(PRODUCTION) is None
    [record] = (tmp_path / MODEL).glob("*.json")
    assert "secret" not in record.name + record.read_text()


def test_no_staging_is_noted_too(good, cached):
    good.note(STAGING, cached("1"))
    good.note(STAGING, None)

    assert good.find(STAGING) is None


@pytest.mark.parametrize("name", [SPEC_FILE, GRAPH_FILE])
def test_changed_and_missing_files_are_not_taken_for_good(good, cached, name):
    version = cached("1")
    good.note(PRODUCTION, version)
    path = version.graph.parent / name

    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(UnfitModel, match="have changed since it served last"):
        good.find(PRODUCTION)

    path.unlink()
    with pytest.raises(UnfitModel, match="cannot be read"):
        good.find(PRODUCTION)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"good": {"production": 7}}', b'{"good": {"production": {}}}'])
def test_a_record_that_cannot_be_read_is_told_and_begun_anew(good, cached, tmp_path, content):
    good.note(PRODUCTION, cached("1"))
    [record] = (tmp_path / MODEL).glob("*.json")
    record.write_bytes(content)

    with capture_logs() as logs:
        assert good.find(PRODUCTION) is None
    assert [log["event"] for log in logs] == ["record of good versions unreadable"]

    version = cached("2")
    good.note(PRODUCTION, version)
    assert good.find(PRODUCTION) == version


def test_tidying_keeps_what_is_in_force_and_what_was_before_it(good, cached, tmp_path):
    versions = [cached(str(number)) for number in range(1, 6)]
    for version in versions[:4]:
        good.note(PRODUCTION, version)
    good.note(STAGING, versions[4])

    removed = good.tidy([versions[3], versions[4]])

    assert sorted(removed) == ["1-abc", "2-abc"]
    assert sorted(path.name for path in (tmp_path / MODEL).iterdir() if path.is_dir()) == ["3-abc", "4-abc", "5-abc"]


def test_tidying_leaves_alone_what_another_worker_keeps_or_has_just_brought(good, cached, tmp_path):
    # Given a version that a worker of another registry has in force, and one that was brought a moment ago
    kept = cached("1")
    other = LastGood(tmp_path, "http://another", MODEL)
    other.note(PRODUCTION, kept)
    other.tidy([kept])
    new, old = cached("2"), cached("3")
    os.utime(new.graph.parent)

    assert good.tidy([]) == [old.graph.parent.name]


def test_tidying_leaves_alone_what_another_worker_has_found_and_not_yet_loaded(good, tmp_path):
    # Given a version in the cache that nobody has used for long, which a worker now wants
    files = {SPEC_FILE: mlmodel(), GRAPH_FILE: graph()}
    pinned = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    shelf = Shelf(tmp_path / MODEL)
    with shelf.new_part() as part:
        for name, content in files.items():
            (part / name).write_bytes(content)
        folder = shelf.keep(part, "1", pinned, "a test")
    long_ago = time.time() - 86_400
    os.utime(folder, (long_ago, long_ago))
    found = shelf.find("1", pinned)

    # When another tidies
    assert good.tidy([]) == []

    # Then it is there to be loaded
    assert found == folder
    assert (folder / GRAPH_FILE).read_bytes() == files[GRAPH_FILE]


def test_tidying_an_empty_cache_is_nothing(tmp_path):
    assert LastGood(tmp_path / "nowhere", REGISTRY, MODEL).tidy([]) == []


def test_a_version_noted_twice_keeps_the_one_before_it(good, cached):
    first, second = cached("1"), cached("2")
    for version in (first, second, replace(second)):
        good.note(PRODUCTION, version)

    assert good.tidy([second]) == []
