"""What every bucket promises (transport.bucket.Bucket), whichever adapter it is."""

from __future__ import annotations

import multiprocessing
import os
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count

import pytest

from tests.contract.buckets import EMULATOR_IGNORES_PRECONDITIONS, Place
from tests.emulators import StorageServer
from transport.bucket import (
    ABSENT,
    AccessRefused,
    Bucket,
    BucketError,
    ObjectNotFound,
    PreconditionFailed,
    get,
    put,
)
from transport.open import open_bucket

MIB = 1024 * 1024
LARGE = 9 * MIB  # more than an adapter sends in one request

ODD_NAMES = [
    "plain.csv",
    "with space.csv",
    " leading and trailing ",
    "hash#query?percent%20plus+.csv",
    "quote'\"`$;&|<>*\\.csv",
    "ünïcödé-éäß-日本語-😀.csv",
    "output/.claims/x.csv@17",
    "deep/er/and/deeper/x",
    ".hidden",
    "...",
    "x" * 255,
]

NO_NAMES = ["", "/", "/etc/passwd", "../out", "a/../../out", "a/..", "./a", "a//b", "a/", "nul\0"]


def names(bucket: Bucket, prefix: str = "", start: str = "", recursive: bool = True) -> list[str]:
    return [found.name for found in bucket.objects(prefix, start=start, recursive=recursive)]


def fill(bucket: Bucket, *wanted: str) -> None:
    for name in wanted:
        put(bucket, name, name.encode())


def test_an_object_reads_back_as_it_was_written(bucket: Bucket) -> None:
    written = put(bucket, "flights.csv", b"a,b\n1,2\n")

    assert get(bucket, "flights.csv") == b"a,b\n1,2\n"
    assert get(bucket, "flights.csv", written.generation) == b"a,b\n1,2\n"
    assert (written.name, written.size) == ("flights.csv", 8)
    assert abs(written.created - time.time()) < 60


def test_an_empty_object_is_an_object(bucket: Bucket) -> None:
    put(bucket, "empty", b"")

    assert get(bucket, "empty") == b""
    standing = bucket.stat("empty")
    assert standing is not None
    assert standing.size == 0


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_names(bucket: Bucket, name: str) -> None:
    written = put(bucket, name, b"odd", if_generation=ABSENT, metadata={"m": "1"})

    assert names(bucket) == [name]
    assert bucket.stat(name) == written
    assert get(bucket, name, written.generation) == b"odd"
    assert bucket.copy(name, written.generation, f"copy/{name}").size == 3
    assert bucket.delete(name)


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_leads_elsewhere_is_refused(bucket: Bucket, name: str) -> None:
    there = put(bucket, "there", b"")

    with pytest.raises(AccessRefused):
        put(bucket, name, b"escaped")
    with pytest.raises(AccessRefused):
        get(bucket, name)
    with pytest.raises(AccessRefused):
        bucket.stat(name)
    with pytest.raises(AccessRefused):
        bucket.delete(name)
    with pytest.raises(AccessRefused):
        bucket.copy("there", there.generation, name)
    assert names(bucket) == ["there"]


def test_what_is_absent_is_none_or_not_found(bucket: Bucket) -> None:
    assert bucket.stat("nothing") is None
    assert bucket.stat("no/thing") is None
    assert not bucket.delete("no/thing")
    with pytest.raises(ObjectNotFound, match="nothing"):
        get(bucket, "nothing")
    with pytest.raises(ObjectNotFound):
        get(bucket, "no/thing", 17)


def test_a_look_tells_what_the_writer_was_told(bucket: Bucket) -> None:
    written = put(bucket, "x", b"12345", metadata={"outcome": '{"ä": 1}', "rows": "2"})

    assert bucket.stat("x") == written
    assert written.metadata == {"outcome": '{"ä": 1}', "rows": "2"}
    (listed,) = bucket.objects()
    assert (listed.name, listed.generation, listed.size) == ("x", written.generation, 5)


def test_metadata_belongs_to_its_generation(bucket: Bucket) -> None:
    put(bucket, "x", b"1", metadata={"a": "1", "b": "1"})
    put(bucket, "x", b"2", metadata={"a": "2"})
    second = bucket.stat("x")
    put(bucket, "x", b"3")
    third = bucket.stat("x")

    assert second is not None
    assert second.metadata == {"a": "2"}
    assert third is not None
    assert third.metadata == {}


def test_metadata_may_be_filled_in_until_the_object_is_committed(bucket: Bucket) -> None:
    metadata: dict[str, str] = {}

    with bucket.write("x", metadata=metadata) as writer:
        writer.write(b"1")
        metadata["known"] = "at the end"

    standing = bucket.stat("x")
    assert standing is not None
    assert standing.metadata == {"known": "at the end"}


def test_metadata_has_room_for_an_outcome(bucket: Bucket) -> None:
    outcome = "é" * 2000
    put(bucket, "claim", b"", metadata={"outcome": outcome})

    standing = bucket.stat("claim")
    assert standing is not None
    assert standing.metadata["outcome"] == outcome


def test_listings_follow_the_bytes_of_the_names(bucket: Bucket) -> None:
    # "a-b" < "a.csv" < "a/…" < "a0", although a folder `a` sorts before all of them by its own name
    wanted = ["B", "a", "a-b/z", "a.csv", "a/b/c", "a/b0", "a0", "b/a", "z", "é", "\uffee", "😀"]
    fill(bucket, *(name if name != "a" else "A" for name in reversed(wanted)))

    listed = names(bucket)
    assert listed == sorted(listed, key=str.encode)
    assert set(listed) == {*wanted, "A"} - {"a"}


def test_a_long_listing_names_every_object_once(bucket: Bucket) -> None:
    wanted = [f"{folder}/{number:03d}" for folder in ("a", "b") for number in range(35)]
    fill(bucket, *wanted)

    assert names(bucket) == wanted


def test_start_is_the_first_name_that_may_come(bucket: Bucket) -> None:
    fill(bucket, "a", "b/1", "b/2", "b/3/x", "c", "d/e/f")

    assert names(bucket, start="b/2") == ["b/2", "b/3/x", "c", "d/e/f"]
    assert names(bucket, start="b/22") == ["b/3/x", "c", "d/e/f"]
    assert names(bucket, start="b0") == ["c", "d/e/f"]
    assert names(bucket, start="d/e/f") == ["d/e/f"]
    assert names(bucket, start="é") == []


def test_a_prefix_is_of_the_name_not_of_a_folder(bucket: Bucket) -> None:
    fill(bucket, "out", "output/a", "output/b/c", "output0", "x/output/a")

    assert names(bucket, "output") == ["output/a", "output/b/c", "output0"]
    assert names(bucket, "output/") == ["output/a", "output/b/c"]
    assert names(bucket, "output/b") == ["output/b/c"]
    assert names(bucket, "output/b/c") == ["output/b/c"]
    assert names(bucket, "output/", start="output/b") == ["output/b/c"]
    assert names(bucket, "no/such/folder/") == []
    assert names(bucket, "../") == []


def test_a_flat_listing_stops_at_the_next_slash(bucket: Bucket) -> None:
    fill(bucket, "a.csv", "b.csv", "b/c.csv", "output/.claims/x", "output/y")

    assert names(bucket, recursive=False) == ["a.csv", "b.csv"]
    assert names(bucket, "output/", recursive=False) == ["output/y"]
    assert names(bucket, "b", recursive=False) == ["b.csv"]
    assert names(bucket, start="b", recursive=False) == ["b.csv"]


def test_folders_that_are_left_out_are_passed_by(bucket: Bucket) -> None:
    fill(bucket, "a", "label", "labels/x", "labels/y/z", "labels0", "m", "output.csv", "output/x", "outputs/x", "z")
    without = ("output/", "labels/")

    def left(prefix: str = "", start: str = "", recursive: bool = True) -> list[str]:
        found = bucket.objects(prefix, start=start, recursive=recursive, without=without)
        return [info.name for info in found]

    assert left() == ["a", "label", "labels0", "m", "output.csv", "outputs/x", "z"]
    assert left(recursive=False) == ["a", "label", "labels0", "m", "output.csv", "z"]
    assert left(start="labels/y") == ["labels0", "m", "output.csv", "outputs/x", "z"]
    assert left(start="n") == ["output.csv", "outputs/x", "z"]
    assert left("o") == ["output.csv", "outputs/x"]


def test_create_if_absent_succeeds_once(bucket: Bucket) -> None:
    first = put(bucket, "x", b"first", if_generation=ABSENT)

    with pytest.raises(PreconditionFailed, match="x"):
        put(bucket, "x", b"second", if_generation=ABSENT, metadata={"second": "1"})
    assert get(bucket, "x") == b"first"
    assert bucket.stat("x") == first


def test_replace_only_the_generation_looked_at(bucket: Bucket) -> None:
    first = put(bucket, "x", b"first")
    second = put(bucket, "x", b"second", if_generation=first.generation)

    with pytest.raises(PreconditionFailed):
        put(bucket, "x", b"third", if_generation=first.generation)
    with pytest.raises(PreconditionFailed):
        put(bucket, "y", b"third", if_generation=first.generation)
    assert get(bucket, "x") == b"second"
    assert bucket.stat("y") is None
    assert second.generation > first.generation


def test_without_a_precondition_the_last_writer_stands(bucket: Bucket) -> None:
    put(bucket, "x", b"first", if_generation=ABSENT)
    put(bucket, "x", b"second")

    assert get(bucket, "x") == b"second"


def test_generations_of_a_name_grow_and_never_come_again(bucket: Bucket) -> None:
    generations = []
    for number in range(40):
        generations.append(put(bucket, "x", b"").generation)
        if number % 2:
            bucket.delete("x")

    assert generations == sorted(set(generations))


@pytest.mark.parametrize("place", ["folder", EMULATOR_IGNORES_PRECONDITIONS], indirect=True)
def test_delete_only_the_generation_looked_at(bucket: Bucket) -> None:
    first = put(bucket, "x", b"1")
    second = put(bucket, "x", b"2")

    with pytest.raises(PreconditionFailed):
        bucket.delete("x", if_generation=first.generation)
    assert bucket.delete("x", if_generation=second.generation)
    assert not bucket.delete("x", if_generation=second.generation)
    assert bucket.stat("x") is None


def test_what_is_deleted_is_gone(bucket: Bucket) -> None:
    put(bucket, "x", b"1", metadata={"a": "b"})

    assert bucket.delete("x")
    assert not bucket.delete("x")
    assert bucket.stat("x") is None
    assert put(bucket, "x", b"2", if_generation=ABSENT).metadata == {}


def test_delete_leaves_the_neighbours(bucket: Bucket) -> None:
    fill(bucket, "a/b/1", "a/b/2", "a/c")

    bucket.delete("a/b/1")
    bucket.delete("a/b/2")

    assert names(bucket) == ["a/c"]
    fill(bucket, "a/b/1")
    assert names(bucket) == ["a/b/1", "a/c"]


@pytest.fixture(scope="module")
def eight_processes(storage_server: StorageServer) -> Iterator[ProcessPoolExecutor]:
    """Processes in which the clients are imported once for all tests here."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(8, spawn, _find_storage, (storage_server.url,)) as pool:
        yield pool


def _find_storage(url: str) -> None:
    os.environ["STORAGE_EMULATOR_HOST"] = url


def _claim(url: str, name: str, me: int, at: float) -> bool:
    bucket = open_bucket(url)
    while time.time() < at:
        pass  # all of them at the same moment
    try:
        put(bucket, name, f"{me}".encode(), if_generation=ABSENT, metadata={"owner": f"{me}"})
    except PreconditionFailed:
        return False
    finally:
        bucket.close()
    return True


def test_of_racing_processes_exactly_one_creates(bucket: Bucket, eight_processes: ProcessPoolExecutor) -> None:
    list(eight_processes.map(_claim, [bucket.url] * 4, ["warm-up"] * 4, range(4), [0] * 4))
    for number in range(8):
        name, at = f"claim-{number}", time.time() + 0.03
        won = list(eight_processes.map(_claim, [bucket.url] * 4, [name] * 4, range(4), [at] * 4))

        assert won.count(True) == 1
        standing = bucket.stat(name)
        assert standing is not None
        assert standing.metadata == {"owner": str(won.index(True))}
        assert get(bucket, name) == str(won.index(True)).encode()


def _count_up(url: str, times: int) -> None:
    bucket = open_bucket(url)
    for _ in range(times):
        while True:
            standing = bucket.stat("counter")
            assert standing is not None
            try:
                number = int(get(bucket, "counter", standing.generation))
                put(bucket, "counter", str(number + 1).encode(), if_generation=standing.generation)
                break
            except (ObjectNotFound, PreconditionFailed):
                continue  # another was faster
    bucket.close()


def test_eight_processes_counting_lose_no_step(bucket: Bucket, eight_processes: ProcessPoolExecutor) -> None:
    put(bucket, "counter", b"0")

    list(eight_processes.map(_count_up, [bucket.url] * 8, [12] * 8))

    assert get(bucket, "counter") == b"96"


def _fail_while_writing(bucket: Bucket, name: str, size: int) -> None:
    with bucket.write(name, metadata={"a": "b"}) as writer:
        writer.write(bytes(size))
        raise ZeroDivisionError


@pytest.mark.parametrize("size", [10, LARGE])
def test_a_failing_writer_leaves_nothing(bucket: Bucket, size: int) -> None:
    with pytest.raises(ZeroDivisionError):
        _fail_while_writing(bucket, "output/x", size)

    assert names(bucket) == []
    assert bucket.stat("output/x") is None


def test_a_failing_writer_leaves_what_stood_there(bucket: Bucket) -> None:
    standing = put(bucket, "x", b"before", metadata={"a": "b"})

    with pytest.raises(ZeroDivisionError):
        _fail_while_writing(bucket, "x", 5)

    assert bucket.stat("x") == standing
    assert get(bucket, "x") == b"before"


def test_an_object_is_invisible_until_its_block_ends(bucket: Bucket) -> None:
    with bucket.write("x") as writer:
        writer.write(bytes(LARGE))
        assert bucket.stat("x") is None
        assert names(bucket) == []
    assert names(bucket) == ["x"]
    assert writer.info.size == LARGE


def test_a_sweep_leaves_living_writers_and_objects_alone(bucket: Bucket) -> None:
    put(bucket, "standing", b"1", metadata={"a": "b"})
    with bucket.write("x", metadata={"c": "d"}) as writer:
        writer.write(b"12")
        assert bucket.sweep() == 0
        writer.write(b"34")
    assert bucket.sweep() == 0

    assert get(bucket, "x") == b"1234"
    found = [bucket.stat("standing"), bucket.stat("x")]
    assert [dict(info.metadata) for info in found if info] == [{"a": "b"}, {"c": "d"}]


def test_an_earlier_generation_is_gone(bucket: Bucket) -> None:
    first = put(bucket, "x", b"first")
    second = put(bucket, "x", b"second")

    with pytest.raises(ObjectNotFound, match="x"):
        get(bucket, "x", first.generation)
    assert get(bucket, "x", second.generation) == b"second"
    bucket.delete("x")
    with pytest.raises(ObjectNotFound):
        get(bucket, "x", second.generation)


@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize("action", ["replace", "delete"])
def test_a_reader_never_sees_two_generations(bucket: Bucket, pinned: bool, action: str) -> None:
    before = b"before--" * (MIB // 2)
    written = put(bucket, "x", before)
    seen = b""

    try:
        with bucket.read("x", written.generation if pinned else None) as stream:
            seen = stream.read(1000)
            if action == "replace":
                put(bucket, "x", b"after---" * (MIB // 2))
            else:
                bucket.delete("x")
            while chunk := stream.read(100_000):
                seen += chunk
        assert seen == before  # it went on with the old one, to its end
    except ObjectNotFound:
        assert before.startswith(seen)


def test_a_stream_can_be_read_in_any_way(bucket: Bucket) -> None:
    put(bucket, "x", b"line 1\nline 2\n" + bytes(100_000))

    with bucket.read("x") as stream:
        assert stream.readline() == b"line 1\n"
        assert stream.read(3) == b"lin"
        buffer = bytearray(4)
        assert stream.readinto(buffer) == 4  # type: ignore[attr-defined]
        assert bytes(buffer) == b"e 2\n"
        assert stream.read() == bytes(100_000)
        assert stream.read() == b""
    assert stream.closed


def test_a_copy_has_its_own_metadata(bucket: Bucket) -> None:
    source = put(bucket, "claim", b"predictions", metadata={"outcome": "scored"})

    copied = bucket.copy("claim", source.generation, "output/pred", metadata={"from": "claim"}, if_generation=ABSENT)

    assert get(bucket, "output/pred") == b"predictions"
    assert bucket.stat("output/pred") == copied
    assert copied.metadata == {"from": "claim"}
    plain = bucket.copy("claim", source.generation, "plain")
    assert plain.metadata == {}
    assert bucket.stat("claim") == source


def test_a_copy_is_of_one_generation(bucket: Bucket) -> None:
    first = put(bucket, "claim", b"first")
    put(bucket, "claim", b"second")

    with pytest.raises(ObjectNotFound, match="claim"):
        bucket.copy("claim", first.generation, "output/pred")
    with pytest.raises(ObjectNotFound):
        bucket.copy("nothing", first.generation, "output/pred")
    assert bucket.stat("output/pred") is None


def test_a_copy_holds_to_its_precondition(bucket: Bucket) -> None:
    source = put(bucket, "claim", b"new")
    standing = put(bucket, "output/pred", b"old")

    with pytest.raises(PreconditionFailed):
        bucket.copy("claim", source.generation, "output/pred", if_generation=ABSENT)
    assert get(bucket, "output/pred") == b"old"
    bucket.copy("claim", source.generation, "output/pred", if_generation=standing.generation)
    assert get(bucket, "output/pred") == b"new"


def test_a_large_copy_is_whole(bucket: Bucket) -> None:
    content = bytes(range(256)) * (LARGE // 256)
    source = put(bucket, "claim", content)

    copied = bucket.copy("claim", source.generation, "output/pred", metadata={"a": "b"})

    assert copied.size == LARGE
    assert bucket.stat("output/pred") == copied
    assert copied.metadata == {"a": "b"}
    assert get(bucket, "output/pred") == content


@pytest.mark.parametrize("place", ["folder", EMULATOR_IGNORES_PRECONDITIONS], indirect=True)
def test_large_writes_and_copies_hold_to_their_preconditions(bucket: Bucket) -> None:
    source = put(bucket, "claim", bytes(LARGE), if_generation=ABSENT)

    with pytest.raises(PreconditionFailed):
        put(bucket, "claim", bytes(LARGE + 1), if_generation=ABSENT)
    put(bucket, "output/pred", b"old")
    with pytest.raises(PreconditionFailed):
        bucket.copy("claim", source.generation, "output/pred", if_generation=ABSENT)
    assert get(bucket, "output/pred") == b"old"


def test_large_objects_stream_in_bounded_memory(bucket: Bucket) -> None:
    block = bytes(range(256)) * 4096  # 1 MiB
    blocks = 48
    tracemalloc.start()
    try:
        with bucket.write("large", if_generation=ABSENT) as writer:
            for _ in range(blocks):
                assert writer.write(block) == len(block)
        with bucket.read("large", writer.info.generation) as stream:
            for _ in range(blocks):
                assert stream.read(MIB) == block
            assert stream.read() == b""
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert writer.info.size == blocks * MIB
    assert peak < 32 * MIB


def test_many_small_pieces_make_one_object(bucket: Bucket) -> None:
    with bucket.write("x") as writer:
        for number in range(20_000):
            writer.write(b"%d\n" % number)

    assert get(bucket, "x") == b"".join(b"%d\n" % number for number in range(20_000))


def test_a_usable_bucket_verifies_without_a_trace(bucket: Bucket) -> None:
    bucket.verify()

    assert names(bucket) == []


def test_it_opens_again_by_its_url(bucket: Bucket) -> None:
    put(bucket, "x", b"1")

    again = open_bucket(bucket.url)

    assert again.name == bucket.name
    assert get(again, "x") == b"1"
    again.close()


def test_a_bucket_that_is_gone_is_named(place: Place) -> None:
    bucket = place.open()
    standing = put(bucket, "x", b"1")
    bucket.delete("x")
    place.vanish()

    attempts = count()
    for attempt in (
        lambda: bucket.verify(),
        lambda: put(bucket, "y", b"2"),
        lambda: list(bucket.objects()),
        lambda: list(bucket.objects("output/")),
        lambda: bucket.copy("x", standing.generation, "y"),
    ):
        next(attempts)
        with pytest.raises(BucketError) as refusal:
            attempt()
        assert bucket.name in str(refusal.value)
    with pytest.raises(AccessRefused, match=bucket.name):
        bucket.verify()
    bucket.close()
