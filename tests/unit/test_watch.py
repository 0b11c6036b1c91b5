"""Changes in a folder, told as they happen."""

from __future__ import annotations

import queue
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from deploy.waiting import SECONDS, wait_for
from publisher import watch
from publisher.watch import FolderWatch, watched_folder


@contextmanager
def watching(bucket: Path, prefix: str = "") -> Iterator[queue.SimpleQueue[str]]:
    """A watch that stands, and the names it tells."""
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    folder = watched_folder(str(bucket), prefix)
    assert folder is not None
    with FolderWatch(folder, prefix, told.put):
        first = folder / (prefix.rpartition("/")[2] + "first.csv")
        wait_for(lambda: written(first) and not told.empty(), "a watch that stands: it tells of this file", every=0.005)
        yield told


def written(file: Path) -> bool:
    """True, once it is there and new."""
    file.write_text("x")
    return True


def names_until(told: queue.SimpleQueue[str], last: str) -> set[str]:
    """What was told until `last` was."""
    names: set[str] = set()
    while last not in names:
        names.add(told.get(timeout=SECONDS))
    return {name for name in names if not name.endswith("first.csv")}


def test_a_new_file_a_replaced_one_and_a_moved_one_are_told(tmp_path: Path) -> None:
    bucket, elsewhere = tmp_path / "bucket", tmp_path / "moved.csv"
    bucket.mkdir()
    elsewhere.write_text("a\n1\n")
    with watching(bucket) as told:
        # when files are written, appended to, moved here, and renamed here
        for change in range(2):
            with (bucket / "Ümläut #1.csv").open("a") as file:
                file.write(f"{change}\n")
            assert names_until(told, "Ümläut #1.csv") == {"Ümläut #1.csv"}
        elsewhere.rename(bucket / "moved.csv")
        assert "moved.csv" in names_until(told, "moved.csv")
        (bucket / "download.csv.part").write_text("a\n")
        (bucket / "download.csv.part").rename(bucket / "download.csv")

        # then the names of inputs are told
        assert "download.csv.part" not in names_until(told, "download.csv")


def test_outputs_and_what_is_no_input_wake_nobody(tmp_path: Path) -> None:
    bucket = tmp_path / "bucket"
    for folder in ("output/receipts", ".understudy", "deeper"):
        (bucket / folder).mkdir(parents=True)
    with watching(bucket) as told:
        # when outputs, temporary files and others are written, and then an input
        for name in ("output/pred_a.csv", "output/receipts/a.csv@1.json", ".understudy/x.csv", "deeper/a.csv", "a.txt"):
            (bucket / name).write_text("x")
        (bucket / "last.csv").write_text("x")

        # then only the input is told
        assert names_until(told, "last.csv") == {"last.csv"}


@pytest.mark.parametrize("prefix", ["incoming/", "incoming/2026-"])
def test_below_a_prefix_names_are_told_with_it(tmp_path: Path, prefix: str) -> None:
    (tmp_path / "incoming").mkdir()
    with watching(tmp_path, prefix) as told:
        # when a file is written at the root, and one below the prefix
        (tmp_path / "2026-a.csv").write_text("x")
        (tmp_path / "incoming" / "2026-a.csv").write_text("x")

        # then the second is told, by its whole name
        assert names_until(told, "incoming/2026-a.csv") == {"incoming/2026-a.csv"}


def test_a_folder_that_cannot_be_watched_is_said_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a prefix whose folder does not exist yet
    monkeypatch.setattr(watch, "TRY_AGAIN", 0.01)
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    folder = tmp_path / "incoming"
    with capture_logs() as logs, FolderWatch(folder, "incoming/", told.put):
        wait_for(lambda: logs, "a word about the folder")

        # when the folder is made
        folder.mkdir()
        wait_for(lambda: written(folder / "a.csv") and not told.empty(), "a name that is told", every=0.005)

    # then it is watched, and the log says once how files were found before
    assert told.get() == "incoming/a.csv"
    [warning] = logs
    assert "--interval" in warning["event"]


def test_a_folder_made_anew_is_watched_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a watched folder that is removed and made again
    monkeypatch.setattr(watch, "TRY_AGAIN", 0.01)
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    with watching(bucket) as told:
        shutil.rmtree(bucket)
        bucket.mkdir()

        # then its files are told again
        def told_again() -> bool:
            written(bucket / "again.csv")
            return not told.empty() and told.get() == "again.csv"

        wait_for(told_again, "a file of the new folder")


def test_only_folders_are_watched() -> None:
    assert watched_folder("gs://bucket", "") is None
    assert watched_folder("/data/bucket", "incoming/2026-") == Path("/data/bucket/incoming")
