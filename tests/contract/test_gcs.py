"""What is true of Cloud Storage beyond the contract: how many calls, which faults are survived, what errors say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest
from google.api_core.exceptions import ServiceUnavailable
from google.cloud.storage import Blob

from tests.contract.clock import Clock
from tests.contract.fault_proxy import Fault, FaultProxy, Request, fail_once
from tests.emulators import StorageServer
from transport.bucket import (
    ABSENT,
    READS,
    AccessRefused,
    Bucket,
    BucketError,
    DamagedRead,
    ObjectNotFound,
    PreconditionFailed,
    get,
    put,
)
from transport.buckets.gcs.bucket import GcsBucket
from transport.buckets.gcs.read import PinnedStream

MIB = 1024 * 1024
SMALL = b"a,b\n1,2\n" * 1000
LARGE = bytes(range(256)) * 4096 * 9  # 9 MiB: more than one request


@pytest.fixture
def proxy(storage_server: StorageServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    with FaultProxy(storage_server.url) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        yield proxy


@pytest.fixture
def bucket(proxy: FaultProxy, storage_server: StorageServer) -> Iterator[Bucket]:
    """A bucket behind the proxy. It waits for an answer that is slow to come: asked for again, it would count twice."""
    name = f"b{time.time_ns()}"
    storage_server.make_bucket(name)
    opened = GcsBucket(f"gs://{name}")
    yield opened
    opened.close()


@dataclass(frozen=True)
class Call:
    """One call of the port: what has to stand before, the call, and what shows that it did what it should."""

    prepare: Callable[[Bucket], int]
    act: Callable[[Bucket, int], object]
    requests: int
    right: Callable[[Bucket, object], bool]


def _put(content: bytes) -> Callable[[Bucket, int], object]:
    return lambda bucket, _: put(bucket, "x", content, if_generation=ABSENT, metadata={"a": "b"})


def _standing(content: bytes, name: str = "x") -> Callable[[Bucket], int]:
    return lambda bucket: put(bucket, name, content, metadata={"a": "b"}).generation


def _stands(content: bytes) -> Callable[[Bucket, object], bool]:
    return lambda bucket, info: bucket.stat("x") == info and get(bucket, "x") == content


def _copy(bucket: Bucket, generation: int) -> object:
    return bucket.copy("claim", generation, "x", if_generation=ABSENT, metadata={"c": "d"})


CALLS = {
    "put": Call(lambda _: 0, _put(SMALL), 1, _stands(SMALL)),
    "put large": Call(lambda _: 0, _put(LARGE), 3, _stands(LARGE)),
    "look": Call(_standing(SMALL), lambda bucket, _: bucket.stat("x"), 1, _stands(SMALL)),
    "get": Call(_standing(SMALL), lambda bucket, g: get(bucket, "x", g), 1, lambda _, content: content == SMALL),
    "get newest": Call(_standing(LARGE), lambda bucket, _: get(bucket, "x"), 1, lambda _, content: content == LARGE),
    "copy": Call(_standing(SMALL, "claim"), _copy, 2, _stands(SMALL)),
    "copy large": Call(_standing(LARGE, "claim"), _copy, 2, _stands(LARGE)),
    "delete": Call(
        _standing(SMALL),
        lambda bucket, _: bucket.delete("x"),
        1,
        lambda bucket, done: done is True and not bucket.stat("x"),
    ),
    "list": Call(
        _standing(SMALL), lambda bucket, _: [f.name for f in bucket.objects()], 1, lambda _, names: names == ["x"]
    ),
}

FAULTS = {
    "503": Fault("status", status=503),
    "429": Fault("status", status=429),
    "reset": Fault("reset"),
    "lost answer": Fault("lose"),
    "cut": Fault("cut", at=2),
    "stall": Fault("stall", at=2),
}


@pytest.mark.parametrize("name", CALLS)
def test_each_call_costs_as_many_requests_as_it_must(bucket: Bucket, proxy: FaultProxy, name: str) -> None:
    call = CALLS[name]
    generation = call.prepare(bucket)
    proxy.forget()

    result = call.act(bucket, generation)

    assert len(proxy.requests) == call.requests, proxy.requests
    assert call.right(bucket, result)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", CALLS)
def test_each_call_survives_a_fault_of_each_of_its_requests(
    bucket: GcsBucket, proxy: FaultProxy, name: str, fault: str
) -> None:
    call = CALLS[name]
    for number in range(call.requests):
        generation = call.prepare(bucket)
        fail_once(proxy, bucket, number, FAULTS[fault])

        result = call.act(bucket, generation)

        proxy.plan = lambda _: None
        assert len(proxy.requests) >= call.requests
        assert call.right(bucket, result)
        bucket.delete("x")


def test_a_long_listing_costs_a_request_per_thousand(
    bucket: Bucket, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given more objects than go on a page, which is of a thousand
    for number in range(11):
        put(bucket, f"output/receipts/{number:04d}", b"")
    proxy.forget()
    assert len(list(bucket.objects("output/receipts/"))) == 11
    [asked] = proxy.requests
    assert parse_qs(urlsplit(asked.path).query)["maxResults"] == ["1000"]
    # When pages are smaller, then each costs a request
    monkeypatch.setattr("transport.buckets.gcs.bucket._PAGE", 10)
    proxy.forget()
    assert len(list(bucket.objects("output/receipts/"))) == 11
    assert len(proxy.requests) == 2
    proxy.plan = lambda request: Fault("status") if request.number == 3 else None
    assert len(list(bucket.objects())) == 11  # its second page failed at first


def test_a_lost_answer_is_not_mistaken_for_anothers_write(bucket: Bucket, proxy: FaultProxy) -> None:
    """The first try never arrives, meanwhile another creates the very same content with the same metadata."""

    def plan(request: Request) -> Fault | None:
        if request.number:
            return None
        other = GcsBucket(bucket.url)
        put(other, "claim", b"same", if_generation=ABSENT, metadata={"a": "b"})
        other.close()
        return Fault("reset")

    proxy.plan = plan
    with pytest.raises(PreconditionFailed):
        put(bucket, "claim", b"same", if_generation=ABSENT, metadata={"a": "b"})


def test_a_generation_replaced_while_its_stream_is_cut_is_gone(bucket: Bucket, proxy: FaultProxy) -> None:
    before = put(bucket, "x", LARGE)

    def plan(request: Request) -> Fault | None:
        return Fault("cut", at=3 * MIB) if request.number == 0 else None

    proxy.forget()
    proxy.plan = plan
    with bucket.read("x", before.generation) as stream:
        assert stream.read(MIB) == LARGE[:MIB]
        put(bucket, "x", SMALL)
        with pytest.raises(ObjectNotFound):
            stream.read()


def test_a_cut_stream_goes_on_where_it_ended(bucket: Bucket, proxy: FaultProxy) -> None:
    put(bucket, "x", LARGE)
    proxy.forget()
    proxy.plan = lambda request: Fault("cut", at=2 * MIB + 17) if request.number < 3 else None

    assert get(bucket, "x") == LARGE
    assert len(proxy.requests) == 4


def test_a_stream_damaged_on_its_way_is_an_error(bucket: Bucket, proxy: FaultProxy) -> None:
    put(bucket, "x", SMALL)
    proxy.forget()
    proxy.plan = lambda _: Fault("damage", at=17)

    with pytest.raises(DamagedRead, match="arrived damaged"), bucket.read("x") as stream:
        stream.read()
    assert len(proxy.requests) == 1

    with pytest.raises(DamagedRead, match="arrived damaged"):
        get(bucket, "x")
    assert len(proxy.requests) == 1 + READS


@pytest.mark.parametrize("times", [1, READS - 1])
def test_what_arrives_damaged_is_read_again(bucket: Bucket, proxy: FaultProxy, times: int) -> None:
    assert bucket.checks_reads
    source = put(bucket, "x", SMALL)
    proxy.forget()
    proxy.plan = lambda request: Fault("damage", at=17) if request.number < times else None

    assert get(bucket, "x") == SMALL
    proxy.forget()
    bucket.copy("x", source.generation, "y")
    proxy.plan = lambda _: None
    assert get(bucket, "y") == SMALL


def test_an_upload_whose_session_is_gone_starts_over(bucket: Bucket, proxy: FaultProxy) -> None:
    # A part of a resumable upload is answered with 410 where the session has ended
    proxy.forget()
    gone = iter([Fault("status", status=410, message="Gone")])
    proxy.plan = lambda request: next(gone, None) if request.method == "PUT" else None

    put(bucket, "x", LARGE)

    proxy.plan = lambda _: None
    assert get(bucket, "x") == LARGE


def test_a_copy_in_several_calls_goes_on_from_where_it_was(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a copy that takes three calls, of which the second fails once
    source = put(bucket, "x", LARGE)
    rewrite, tokens = Blob.rewrite, []

    def in_three(blob: Blob, origin: Blob, token: str | None, **named: object) -> object:
        tokens.append(token)
        if tokens.count("second") == 1 and token == "second":
            raise ServiceUnavailable("made up")
        following = {None: "second", "second": "third"}.get(token)
        return (following, 0, 0) if following else rewrite(blob, origin, None, **named)

    monkeypatch.setattr(Blob, "rewrite", in_three)

    bucket.copy("x", source.generation, "y")

    assert tokens == [None, "second", "second", "third"]
    assert get(bucket, "y") == LARGE


def test_a_refusal_for_retention_names_the_policy_and_no_role(bucket: Bucket, proxy: FaultProxy) -> None:
    text = "Object 'b/x' is subject to bucket's retention policy or object retention and cannot be deleted"
    put(bucket, "x", SMALL)
    proxy.plan = lambda request: Fault("status", status=403, message=text) if request.method == "DELETE" else None

    with pytest.raises(AccessRefused, match="take the policy off the bucket") as refused:
        bucket.delete("x")
    assert "roles/" not in str(refused.value)


def test_a_bucket_that_deletes_nothing_is_left_one_probe_and_no_more(
    bucket: Bucket, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a retention policy, and three programs that start one after the other
    text = "Object is subject to bucket's retention policy and cannot be deleted"
    proxy.plan = lambda request: Fault("status", status=403, message=text) if request.method == "DELETE" else None
    monkeypatch.setattr("transport.buckets.gcs.bucket._PROBE_SECONDS", -60.0)

    for _ in range(3):
        with pytest.raises(AccessRefused, match="retention policy"):
            bucket.verify()

    # Then one probe is left; once the policy is gone, so is the probe
    assert len(list(bucket.objects("output/.verify-"))) == 1
    proxy.plan = lambda _: None
    bucket.verify()
    assert list(bucket.objects("output/.verify-")) == []


@pytest.mark.parametrize(
    ("fault", "timeout"), [(Fault("status"), (10.0, 30.0)), (Fault("stall"), (10.0, 0.1))], ids=["503", "stall"]
)
def test_a_fault_that_stays_is_reported_when_patience_ends(
    proxy: FaultProxy, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, fault: Fault, timeout: tuple[float, float]
) -> None:
    # Given a clock by which each request takes forty seconds, a wait before the next its time, and nothing else any
    put(bucket, "x", SMALL)
    clock = Clock(stands=True).of(
        monkeypatch,
        "google.api_core.retry.retry_unary",
        "google.api_core.retry.retry_base",
        "transport.buckets.gcs.read",
    )
    monkeypatch.setattr(PinnedStream.__init__, "__defaults__", (clock.sleep,))
    impatient = GcsBucket(bucket.url, timeout=timeout, patience=90.0)
    calls: list[Callable[[], object]] = [
        lambda: put(impatient, "y", SMALL),
        lambda: put(impatient, "y", LARGE),
        lambda: get(impatient, "x"),
        lambda: impatient.stat("x"),
        lambda: list(impatient.objects()),
        lambda: impatient.delete("x"),
    ]

    request, tries = impatient._api.session.request, []

    def takes_forty_seconds(*arguments: object, **named: object) -> object:
        tries.append(arguments)
        clock.move(40.0)
        return request(*arguments, **named)

    monkeypatch.setattr(impatient._api.session, "request", takes_forty_seconds)
    # When every request fails
    proxy.plan = lambda _: fault
    for call in calls:
        tries.clear()
        with pytest.raises(BucketError, match=impatient.name) as refusal:
            call()
        assert type(refusal.value) is BucketError
        # Then it was tried again for as long as patience went, and not once more
        assert len(tries) == 3, tries
    impatient.close()


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault("status", status=401, message="Invalid Credentials"), "gcloud auth application-default login"),
        (
            Fault("status", status=403, message="me@x does not have storage.objects.get access to the object"),
            "roles/storage.objectViewer",
        ),
        (Fault("status", status=403, message="lacks storage.objects.create access"), "roles/storage.objectCreator"),
        (Fault("status", status=404, message="The specified bucket does not exist."), "no such bucket|no bucket"),
    ],
    ids=["not signed in", "may not read", "may not write", "no bucket"],
)
def test_a_refusal_is_not_tried_again_and_says_what_is_missing(
    bucket: Bucket, proxy: FaultProxy, fault: Fault, says: str
) -> None:
    proxy.plan = lambda _: fault
    calls: list[Callable[[], object]] = [
        lambda: put(bucket, "x", SMALL),
        lambda: put(bucket, "x", LARGE),
        lambda: get(bucket, "x"),
        lambda: bucket.stat("x"),
        lambda: list(bucket.objects()),
        lambda: bucket.delete("x"),
        lambda: bucket.copy("x", 1, "y"),
        lambda: bucket.verify(),
    ]
    for call in calls:
        proxy.forget()
        with pytest.raises(AccessRefused, match=says) as refusal:
            call()
        assert len(proxy.requests) == 1
        assert bucket.name in str(refusal.value)


def test_metadata_beyond_the_limit_is_refused_before_it_is_sent(bucket: Bucket, proxy: FaultProxy) -> None:
    with pytest.raises(BucketError, match="8192"):
        put(bucket, "x", b"", metadata={"outcome": "x" * 8192})
    assert proxy.requests == []


@pytest.mark.parametrize("url", ["gs://", "gs://bucket/folder", "bucket"])
def test_a_url_that_names_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(AccessRefused, match="names no bucket"):
        GcsBucket(url)
