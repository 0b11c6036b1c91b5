"""What is true of a folder as a bucket beyond the contract: crashes, links, clocks, files that people touch."""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deploy.waiting import SECONDS
from tests.unit.dying_writer import NO_ATTRIBUTES
from transport.bucket import ABSENT, AccessRefused, BucketError, NoSpace, ObjectNotFound, PreconditionFailed, get, put
from transport.buckets.folder import write as folder_write
from transport.buckets.folder.bucket import FolderBucket
from transport.buckets.folder.files import ATTRIBUTE


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "bucket"


@pytest.fixture
def bucket(root: Path) -> FolderBucket:
    return FolderBucket(str(root))


def names(bucket: FolderBucket, prefix: str = "") -> list[str]:
    return [found.name for found in bucket.objects(prefix)]


@pytest.fixture(params=[True, False], ids=["in an attribute", "beside the file"])
def in_attribute(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Where the file system keeps metadata; the programs that a test starts are told by NO_ATTRIBUTES."""
    if not request.param:
        monkeypatch.delattr(os, "setxattr")
        monkeypatch.setenv(NO_ATTRIBUTES, "1")
    return bool(request.param)


def leftovers(root: Path) -> tuple[int, int]:
    """How many temporary files and metadata files there are."""
    hidden = root / ".understudy"
    return len(os.listdir(hidden / "tmp")), len(os.listdir(hidden / "meta"))


def as_seen(bucket: FolderBucket, name: str) -> tuple[bytes, dict[str, str]] | None:
    info = bucket.stat(name)
    return (get(bucket, name, info.generation), dict(info.metadata)) if info else None


OLD = (b"old" * 1000, {"version": "old"})
NEW = (b"new" * 1000, {"version": "new"})


@pytest.mark.parametrize(
    ("scenario", "allowed"),
    [("create", [None, NEW]), ("replace", [OLD, NEW]), ("copy", [OLD, NEW]), ("delete", [OLD, None])],
)
def test_a_writer_killed_at_any_call_leaves_a_whole_object_or_none(
    tmp_path: Path, in_attribute: bool, scenario: str, allowed: list[object]
) -> None:
    command = [sys.executable, "-m", "tests.unit.dying_writer", str(tmp_path), scenario]
    survived_at = int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS).stdout) + 1
    assert survived_at > 8

    outcomes = []
    for number in range(1, survived_at + 1):
        bucket = FolderBucket(str(tmp_path / str(number)))
        seen = as_seen(bucket, "output/x")
        assert seen in allowed, f"killed at call {number}"
        assert set(names(bucket)) <= {"output/x", "claim"}
        outcomes.append(seen)
        bucket.sweep()
        assert leftovers(tmp_path / str(number)) == (0, 1 if seen and not in_attribute else 0), (
            f"killed at call {number}"
        )
        assert as_seen(bucket, "output/x") == seen
        put(bucket, "output/x", b"next")  # no lock is left behind
    assert outcomes[0] == allowed[0]
    assert outcomes[-1] == allowed[-1]


BUSY_WRITER = """
import os, sys
if os.environ.get("NO_ATTRIBUTES"):
    del os.setxattr
from transport.bucket import put
from transport.buckets.folder.bucket import FolderBucket
bucket = FolderBucket(sys.argv[1])
print("ready", flush=True)
for round in range(10**9):
    for number in range(5):
        text = f"{round}-{number}"
        with bucket.write(f"output/{number}", metadata={"text": text}) as writer:
            for _ in range(200):
                writer.write(text.encode() * 50)
"""


def test_writers_killed_at_random_leave_whole_objects_with_their_own_metadata(
    root: Path, bucket: FolderBucket, in_attribute: bool
) -> None:
    chance = random.Random(4)
    for _ in range(7):
        writers = [
            subprocess.Popen([sys.executable, "-c", BUSY_WRITER, str(root)], stdout=subprocess.PIPE) for _ in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0, 0.05))  # the moment of death, not a wait for anything
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            writer.communicate()
        for found in bucket.objects():
            seen = as_seen(bucket, found.name)
            assert seen is not None
            text = seen[1]["text"]
            assert seen[0] == text.encode() * 10_000
            assert text.endswith(found.name[-1])

    bucket.sweep()
    assert leftovers(root) == (0, 0 if in_attribute else len(names(bucket)))


def test_a_sweep_takes_what_the_dead_left_and_nothing_of_the_living(root: Path, bucket: FolderBucket) -> None:
    program = BUSY_WRITER.replace("writer.write", "print('writing', flush=True); import time; time.sleep(60)")
    dying = subprocess.Popen([sys.executable, "-c", program, str(root)], stdout=subprocess.PIPE)
    assert dying.stdout is not None
    assert [dying.stdout.readline() for _ in range(2)] == [b"ready\n", b"writing\n"]

    assert bucket.sweep() == 0
    dying.kill()
    dying.communicate()

    assert bucket.sweep() == 1
    assert leftovers(root) == (0, 0)


def test_metadata_of_files_that_a_person_removed_is_swept(root: Path, bucket: FolderBucket, in_attribute: bool) -> None:
    for number in range(3):
        put(bucket, f"output/{number}", b"", metadata={"a": "b"})
    (root / "output/0").unlink()
    (root / "output/1").write_text("rewritten by hand")

    assert bucket.sweep() == (0 if in_attribute else 2)
    assert leftovers(root) == (0, 0 if in_attribute else 1)
    assert as_seen(bucket, "output/1") == (b"rewritten by hand", {})
    assert as_seen(bucket, "output/2") == (b"", {"a": "b"})


def test_metadata_does_not_outlive_its_content(root: Path, bucket: FolderBucket, in_attribute: bool) -> None:
    put(bucket, "x", b"ours", metadata={"a": "b"})
    (root / "x").write_text("theirs")

    assert as_seen(bucket, "x") == (b"theirs", {})


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="this system has no extended attributes")
def test_a_copy_that_took_the_attribute_along_has_no_metadata_and_a_renamed_file_has(
    root: Path, bucket: FolderBucket
) -> None:
    put(bucket, "x", b"ours", metadata={"a": "b"})
    shutil.copy2(root / "x", root / "copy")
    assert os.listxattr(root / "copy") == os.listxattr(root / "x") != []
    assert as_seen(bucket, "copy") == (b"ours", {})

    os.rename(root / "x", root / "renamed")
    assert as_seen(bucket, "renamed") == (b"ours", {"a": "b"})


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="this system has no extended attributes")
@pytest.mark.parametrize("content", [b"", b"no JSON", b"[]", b'{"key": 1}', b'{"metadata": {"a": "c"}}'])
def test_an_attribute_of_foreign_make_is_no_metadata(root: Path, bucket: FolderBucket, content: bytes) -> None:
    put(bucket, "x", b"ours")
    os.setxattr(root / "x", ATTRIBUTE, content)

    assert as_seen(bucket, "x") == (b"ours", {})


def test_metadata_too_long_for_an_attribute_lies_beside_the_file(root: Path, bucket: FolderBucket) -> None:
    long = {"outcome": "x" * 100_000}
    put(bucket, "x", b"ours", metadata=long)

    assert as_seen(bucket, "x") == (b"ours", long)
    assert leftovers(root) == (0, 1)


def test_replaced_and_deleted_objects_leave_no_metadata_file(
    root: Path, bucket: FolderBucket, in_attribute: bool
) -> None:
    kept = 0 if in_attribute else 1
    for content in (b"1", b"2"):
        put(bucket, "x", content, metadata={"a": "b"})
    assert leftovers(root) == (0, kept)
    with pytest.raises(PreconditionFailed):
        put(bucket, "x", b"3", metadata={"a": "b"}, if_generation=ABSENT)
    assert leftovers(root) == (0, kept)
    bucket.delete("x")
    assert leftovers(root) == (0, 0)


def test_a_generation_is_the_files_ctime_whatever_its_mtime(root: Path, bucket: FolderBucket) -> None:
    put(bucket, "other", b"")
    (root / "x.csv").write_text("1")
    first = bucket.stat("x.csv")
    (root / "new").write_text("2")
    os.utime(root / "new", (1, 1))  # as `cp -p` and `rsync -t` do
    os.replace(root / "new", root / "x.csv")

    second = bucket.stat("x.csv")
    assert first is not None
    assert second is not None
    assert second.generation == (root / "x.csv").stat().st_ctime_ns > first.generation


def _rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"after")


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"after-" * 100_000)
    os.replace(other, path)


@pytest.mark.parametrize("change", [_rewrite, _replace, Path.unlink], ids=["rewritten", "replaced", "removed"])
def test_an_input_changed_under_its_reader_is_gone(
    root: Path, bucket: FolderBucket, change: Callable[[Path], None]
) -> None:
    (root / "x.csv").write_bytes(b"before" * 100_000)
    with bucket.read("x.csv") as stream:
        assert stream.read(6) == b"before"
        change(root / "x.csv")
        with pytest.raises(ObjectNotFound, match="no longer of generation"):
            stream.read()


def test_an_input_cut_short_under_its_reader_is_gone_not_shorter(root: Path, bucket: FolderBucket) -> None:
    (root / "x.csv").write_bytes(b"before" * 100_000)
    with bucket.read("x.csv") as stream:
        stream.read(6)
        os.truncate(root / "x.csv", 0)
        with pytest.raises(ObjectNotFound):
            stream.read()


def test_links_are_neither_listed_nor_read_nor_written_through(
    root: Path, bucket: FolderBucket, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.csv").write_text("secret")
    (root / "file.csv").symlink_to(outside / "secret.csv")
    (root / "folder").symlink_to(outside)
    (root / "inner").mkdir()
    (root / "inner/loop").symlink_to(root)
    os.mkfifo(root / "pipe.csv")

    assert names(bucket) == []
    assert names(bucket, "folder/") == []
    assert bucket.stat("file.csv") is None
    for absent in ("file.csv", "pipe.csv"):
        with pytest.raises(ObjectNotFound):
            get(bucket, absent)
        with pytest.raises(AccessRefused, match=absent):
            put(bucket, absent, b"")
        assert not bucket.delete(absent)
    for attempt in (
        lambda: get(bucket, "folder/secret.csv"),
        lambda: put(bucket, "folder/new.csv", b""),
        lambda: put(bucket, "inner/loop/new.csv", b""),
        lambda: bucket.delete("folder/secret.csv"),
    ):
        with pytest.raises(AccessRefused, match="symbolic link"):
            attempt()
    assert [path.name for path in outside.iterdir()] == ["secret.csv"]
    assert leftovers(root)[0] == 0


def test_a_folder_or_a_file_in_the_way_is_named(root: Path, bucket: FolderBucket) -> None:
    put(bucket, "a/b", b"")

    with pytest.raises(AccessRefused, match="'a' cannot be written: a folder has that name"):
        put(bucket, "a", b"")
    with pytest.raises(AccessRefused, match="'a/b' is a file"):
        put(bucket, "a/b/c", b"")
    assert bucket.stat("a") is None
    assert bucket.stat("a/b/c") is None
    assert not bucket.delete("a")
    with pytest.raises(ObjectNotFound):
        get(bucket, "a/b/c")


@pytest.mark.parametrize("name", [".understudy", ".understudy/tmp/x", ".Understudy/lock"])
def test_the_buckets_own_folder_is_out_of_reach(bucket: FolderBucket, name: str) -> None:
    with pytest.raises(AccessRefused, match="own folder"):
        put(bucket, name, b"")
    with pytest.raises(AccessRefused):
        get(bucket, name)
    assert names(bucket, ".understudy/") == []


def test_a_name_too_long_for_a_folder_says_so(bucket: FolderBucket) -> None:
    with pytest.raises(BucketError, match="has 256 bytes"):
        put(bucket, "é" * 128, b"")
    put(bucket, "é" * 127 + "/" + "é" * 127, b"")


def test_what_is_there_and_is_no_object_is_told_with_the_reason(root: Path, bucket: FolderBucket) -> None:
    # Given a name that is no text, a link to a file, a pipe, and both deeper
    put(bucket, "deep/x.csv", b"")
    for folder in (root, root / "deep"):
        Path(os.fsdecode(os.fsencode(folder) + b"/latin-1-\xe9.csv")).touch()
        (folder / "link.csv").symlink_to(root / "deep" / "x.csv")
    os.mkfifo(root / "pipe.csv")
    (root / "folder.csv").symlink_to(root / "deep")

    def told(prefix: str = "", *, recursive: bool = True) -> dict[str, str]:
        found: dict[str, str] = {}
        listing = bucket.objects(prefix, recursive=recursive, left_out=found.__setitem__)
        assert {info.name for info in listing} <= {"deep/x.csv"}
        return found

    # Then each is told, where it is looked for
    here = {"latin-1-\\xe9.csv", "link.csv", "pipe.csv", "folder.csv"}
    assert set(told(recursive=False)) == here
    assert set(told()) == here | {"deep/latin-1-\\xe9.csv", "deep/link.csv"}
    assert set(told("deep/l")) == {"deep/latin-1-\\xe9.csv", "deep/link.csv"}
    assert "not valid UTF-8; rename it" in told()["latin-1-\\xe9.csv"]
    assert "links are not followed" in told()["link.csv"]
    assert told()["pipe.csv"] == "it is no regular file"
    with pytest.raises(AccessRefused, match="not valid Unicode"):
        get(bucket, os.fsdecode(b"latin-1-\xe9.csv"))


def test_a_folder_that_cannot_be_looked_into_keeps_nothing_else_from_being_found(
    bucket: FolderBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given one that this user may not read, like lost+found, one that may be read and not entered, and a very deep one
    for name in ("a.csv", "lost+found/x", "readable/x", "z/x.csv", "/".join(["d" * 200] * 6) + "/x.csv"):
        put(bucket, name, b"")

    def refused(path: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    def but_for(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        return lambda path, *rest, **options: refused(path) if path == name else call(path, *rest, **options)

    monkeypatch.setattr(os, "open", but_for("lost+found", os.open))
    monkeypatch.setattr(os, "stat", but_for("x", os.stat))

    # When it is listed by one who is told what is left out, then everything else is there
    told: dict[str, str] = {}
    assert [info.name for info in bucket.objects(left_out=told.__setitem__)] == ["a.csv", "z/x.csv"]
    assert set(told) == {"lost+found/", "readable/x"}
    assert set(told.values()) == {"it cannot be looked at: Permission denied"}

    # And nobody else goes on in silence
    with pytest.raises(AccessRefused, match="permission is denied"):
        names(bucket)


def test_a_folder_that_is_left_out_is_not_read(bucket: FolderBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("a", "output/receipts", "labels"):
        put(bucket, f"{folder}/x", b"")
    read: list[int] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: (read.append(folder), scandir(folder))[1])

    assert [found.name for found in bucket.objects(without=("output/", "labels/"))] == ["a/x"]
    assert len(read) == 2  # the root, and a/


def test_a_prefix_and_a_start_read_only_the_folders_they_need(
    bucket: FolderBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("a", "output/receipts", "output/shadow", "z"):
        put(bucket, f"{folder}/x", b"")
    read: list[int] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: (read.append(folder), scandir(folder))[1])

    assert names(bucket, "output/receipts/") == ["output/receipts/x"]
    assert len(read) == 1
    assert names(bucket, "output/r") == ["output/receipts/x"]
    assert len(read) == 3
    assert [found.name for found in bucket.objects(start="output/t")] == ["z/x"]
    assert len(read) == 6  # the root, output, z
    assert [found.name for found in bucket.objects(recursive=False)] == []
    assert len(read) == 7


def test_files_that_vanish_during_a_listing_are_left_out(root: Path, bucket: FolderBucket) -> None:
    for name in ("a", "b", "c/x", "d"):
        put(bucket, name, b"")
    listing = bucket.objects()
    assert next(listing).name == "a"
    (root / "b").unlink()
    (root / "c/x").unlink()
    (root / "c").rmdir()

    assert [found.name for found in listing] == ["d"]


class CoarseClock:
    """`os.fstat` and `os.stat` as a file system shows them whose ctimes move in ticks of 10 ms."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._fstat, self._stat = os.fstat, os.stat
        monkeypatch.setattr(os, "fstat", lambda file: self._coarse(self._fstat(file)))
        monkeypatch.setattr(os, "stat", lambda *names, **options: self._coarse(self._stat(*names, **options)))

    @staticmethod
    def _coarse(status: os.stat_result) -> Any:
        fields = {name: getattr(status, name) for name in dir(status) if name.startswith("st_")}
        return SimpleNamespace(**{**fields, "st_ctime_ns": status.st_ctime_ns // 10_000_000 * 10_000_000})


def test_generations_grow_where_the_clock_ticks_slowly(bucket: FolderBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    CoarseClock(monkeypatch)

    generations = []
    for number in range(12):
        generations.append(put(bucket, "x", b"").generation)
        if number % 3 == 0:
            bucket.delete("x")

    assert generations == sorted(set(generations))


def test_a_machine_that_stands_still_meanwhile_is_no_clock_set_back(
    bucket: FolderBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    CoarseClock(monkeypatch)
    monkeypatch.setattr(folder_write, "_CLOCK_PATIENCE", 0.05)
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda _seconds: sleep(0.06))

    generations = [put(bucket, "x", b"").generation for _ in range(12)]

    assert generations == sorted(set(generations))


def test_a_clock_set_back_is_reported_not_waited_for(bucket: FolderBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_write, "_CLOCK_PATIENCE", 0.02)
    began = time.monotonic()
    put(bucket, "x", b"1")
    stat = os.stat
    monkeypatch.setattr(os, "stat", lambda *names, **options: an_hour_later(stat(*names, **options)))

    with pytest.raises(BucketError, match=r"\d+ s in the future.*clock") as error:
        put(bucket, "x", b"2")
    monkeypatch.undo()
    ahead = int(re.search(r"(\d+) s in the future", str(error.value))[1])
    assert 3599 - (time.monotonic() - began) <= ahead <= 3600
    assert get(bucket, "x") == b"1"


def an_hour_later(status: os.stat_result) -> Any:
    fields = {name: getattr(status, name) for name in dir(status) if name.startswith("st_")}
    return SimpleNamespace(**{**fields, "st_ctime_ns": status.st_ctime_ns + 3600 * 10**9})


@pytest.mark.parametrize(
    ("number", "kind", "advice"),
    [
        (errno.ENOSPC, NoSpace, "free some"),
        (errno.EACCES, AccessRefused, "permission is denied"),
        (errno.EROFS, AccessRefused, "read-only"),
        (errno.EXDEV, AccessRefused, "unmount"),
    ],
)
def test_what_the_disk_refuses_names_the_folder_and_a_way_out(
    root: Path,
    bucket: FolderBucket,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[BucketError],
    advice: str,
) -> None:
    def refuse(*_names: object, **_options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(BucketError) as refusal:
        put(bucket, "x", b"", metadata={"a": "b"})

    assert type(refusal.value) is kind
    assert str(root) in str(refusal.value)
    assert advice in str(refusal.value)
    assert leftovers(root) == (0, 0)
    assert names(bucket) == []


def test_an_error_of_the_writers_own_is_not_taken_for_the_buckets(bucket: FolderBucket) -> None:
    with pytest.raises(PermissionError), bucket.write("x"):
        raise PermissionError("of something else")


def test_a_failure_after_the_rename_keeps_the_object_and_its_metadata(
    bucket: FolderBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def replace_then_fail(*names: Any, **options: Any) -> None:
        replace(*names, **options)
        monkeypatch.setattr(os, "fsync", fail)

    def fail(_file: int) -> None:
        raise OSError(errno.EIO, "the disk is gone")

    monkeypatch.setattr(os, "replace", replace_then_fail)
    with pytest.raises(BucketError, match="input/output error"):
        put(bucket, "x", b"1", metadata={"a": "b"})

    assert as_seen(bucket, "x") == (b"1", {"a": "b"})


def test_copies_work_where_the_kernel_does_not_help(bucket: FolderBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytes(range(256)) * 10_000
    source = put(bucket, "x", content)

    def not_here(*_arguments: object) -> int:
        raise OSError(errno.EXDEV, "not across these file systems")

    monkeypatch.setattr(os, "copy_file_range", not_here, raising=False)
    bucket.copy("x", source.generation, "y")
    monkeypatch.delattr(os, "copy_file_range")
    bucket.copy("x", source.generation, "z")

    assert get(bucket, "y") == get(bucket, "z") == content


def test_threads_of_one_process_exclude_each_other_too(bucket: FolderBucket) -> None:
    wins: list[int] = []
    gate = threading.Barrier(4)

    def race(me: int) -> None:
        for number in range(30):
            gate.wait(SECONDS)
            try:
                put(bucket, f"{number}", b"", if_generation=ABSENT)
            except PreconditionFailed:
                continue
            wins.append(number)

    racers = [threading.Thread(target=race, args=(me,)) for me in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()

    assert sorted(wins) == list(range(30))


def test_the_hidden_folder_is_made_again_when_a_person_removes_it(
    root: Path, bucket: FolderBucket, in_attribute: bool
) -> None:
    put(bucket, "x", b"1", metadata={"a": "b"})
    subprocess.run(["rm", "-r", str(root / ".understudy")], check=True)

    assert as_seen(bucket, "x") == (b"1", {"a": "b"} if in_attribute else {})
    put(bucket, "x", b"2", metadata={"a": "c"})
    assert as_seen(bucket, "x") == (b"2", {"a": "c"})
    assert bucket.sweep() == 0


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AccessRefused, match="cannot make the folder"):
        FolderBucket(str(tmp_path / "file/bucket"))
    with pytest.raises(AccessRefused, match="s3://bucket"):
        FolderBucket("s3://bucket")


def test_a_bucket_is_the_same_by_any_path_to_it(root: Path, bucket: FolderBucket, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)

    assert FolderBucket(str(tmp_path / "link")).url == bucket.url == str(root)
    assert bucket.name == "bucket"


def test_a_file_that_this_user_may_not_read_is_refused_by_its_mode(tmp_path: Path, monkeypatch) -> None:
    bucket = FolderBucket(str(tmp_path / "bucket"))
    info = put(bucket, "a.csv", b"1")
    (tmp_path / "bucket" / "a.csv").chmod(0)
    info = bucket.stat("a.csv")
    assert info is not None
    really_open = os.open

    def as_another_user(path, flags, *arguments, **named):  # root may read everything
        if path == "a.csv":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return really_open(path, flags, *arguments, **named)

    monkeypatch.setattr(os, "open", as_another_user)
    with pytest.raises(AccessRefused, match=r"may not read 'a\.csv' in the folder .* \(its mode is 000\)"):
        get(bucket, "a.csv", info.generation)
