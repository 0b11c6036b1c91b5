"""The publisher's page: what it says, that it keeps nobody waiting, and that nothing in it can act."""

from __future__ import annotations

import json
import re
import socket
import threading
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from deploy.up import taken
from deploy.waiting import SECONDS, wait_for
from edge.server import Answer
from edge.signals import Signals, Starting
from ledger.names import Key, report_name, verdict_name
from ledger.receipt import ModelUsed, Outcome, RowError, Source, Status
from ledger.records import Failure, RefusedVersion, record_failure, record_refused
from ledger.verdict import PostedVerdict
from publisher.page import latest
from publisher.page.latest import FRESH, SHARE, Latest
from publisher.page.page import Page
from publisher.page.view import cut, size, span
from tests.memory import Clock, MemoryBucket, MemoryQueue
from tests.unit.test_publisher import start
from transport.bucket import Bucket, BucketError, put
from transport.event import Generation
from transport.queue import QueueError

VERDICT = PostedVerdict(
    model="churn",
    production="1",
    staging="2",
    tone="staging",
    headline="Staging is better",
    says="Over 2,400 labelled rows.",
    basis="6 files",
    step="To move production to it:",
    command="python -m models promote staging --if-better",
    picture='<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><rect width="4" height="4"/></svg>',
    picture_title="Evidence over time",
    picture_says="It decided.",
    picture_keys=(("staging", "staging is better"),),
)


class Fine(Starting):
    def readiness(self):
        return {"pass": ""}


class Shown:
    """A page over a bucket in memory, whose clock a test holds."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.bucket = MemoryBucket(clock=self.clock)
        self.queue = MemoryQueue(clock=self.clock)
        self.vitals = Fine()
        self.page = Page(self.bucket, self.queue, "", self.vitals, now=self.clock)

    def ended(self, name: str, status: Status, *, version: str = "3", rows: int = 0, why: str = "") -> None:
        """An input with its receipt."""
        info = put(self.bucket, name, b"a\n1\n")
        outcome = Outcome(
            status,
            Source(self.bucket.name, name, info.generation),
            ModelUsed("churn", version, "run") if version else None,
            rows=rows,
            finished=datetime.fromtimestamp(self.clock.now, UTC).isoformat(),
            errors=(RowError(why),) if why else (),
        )
        put(self.bucket, outcome.key.receipt, outcome.to_json().encode())

    def posted(self, verdict: PostedVerdict, report: bytes = b"<h1>At length</h1>") -> None:
        post(self.bucket, verdict, report)

    def at(self, path: str) -> Answer:
        answer = self.page(path)
        assert answer is not None
        return answer

    def text(self, path: str = "/") -> str:
        """What a reader sees, without tags."""
        body = re.sub(r"<style>.*</style>", "", self.at(path).body.decode(), flags=re.DOTALL)
        return " ".join(re.sub(r"<[^>]*>", " ", re.sub("</?bdi[^>]*>", "", body)).split())


def post(bucket: Bucket, verdict: PostedVerdict, report: bytes) -> None:
    put(bucket, report_name(verdict.model), report)
    put(bucket, verdict_name(verdict.model), verdict.to_json().encode())


@pytest.fixture
def shown() -> Iterator[Shown]:
    shown = Shown()
    yield shown
    shown.page.close()


def test_a_new_bucket_says_how_a_file_gets_there(shown: Shown) -> None:
    text = shown.text()

    assert "No file has come yet." in text
    assert f"cp flights.csv {shown.bucket.url}/" in text
    assert "No verdict yet. python -m models watch writes it" in text
    assert "No file has a receipt yet." in text
    assert "No version has scored a file yet." in text


def test_files_with_status_rows_version_and_reason_and_what_waits(shown: Shown) -> None:
    shown.ended("a.csv", Status.SCORED, rows=12_345)
    shown.clock.advance(300)
    shown.ended("b.csv", Status.REJECTED, version="", why="the header lacks 'age'")
    shown.ended("c.csv", Status.DEAD_LETTERED, version="", why="5 attempts")
    put(shown.bucket, "late.csv", b"x" * 2_500)
    put(shown.bucket, "table.xlsx", b"")
    record_refused(shown.bucket, RefusedVersion("staging", "churn", "4", "no ONNX", "w1", "2023-11-14T22:18:20+00:00"))
    shown.clock.advance(12)

    text = shown.text()

    assert "1 file waits or is being scored. Of 4 files in the bucket. The oldest came 12 s ago." in text
    assert "a.csv scored 12,345 3 5 min ago" in text
    assert "b.csv rejected the header lacks 'age' 12 s ago" in text.replace("&#39;", "'")
    assert "c.csv dead-lettered 5 attempts 12 s ago" in text
    assert "What waits late.csv 2.5 kB, came 12 s ago" in text
    assert "staging names churn version 4, which was refused no ONNX w1, 12 s ago" in text
    assert "churn version 3 last scored a file 5 min ago" in text
    assert "table.xlsx its name does not end in .csv, .csv.gz or .parquet" in text


def test_a_file_whose_attempts_fail_waits_with_the_reason(shown: Shown) -> None:
    info = put(shown.bucket, "a.csv", b"")
    failure = Failure(attempt=2, error="the scoring process was killed", worker="w1", time="")
    record_failure(shown.bucket, Key("a.csv", Generation(info.generation)), failure)
    record_failure(shown.bucket, Key("b.csv", Generation(1)), failure)

    assert "What waits a.csv 0 bytes, came 0 s ago attempt 2 failed: the scoring process was killed" in shown.text()


def test_files_that_wait_while_no_receipt_comes_are_said(shown: Shown) -> None:
    shown.ended("a.csv", Status.SCORED)
    put(shown.bucket, "b.csv", b"")
    shown.clock.advance(59)
    assert "is a worker running?" not in shown.text()

    shown.clock.advance(91)

    assert "A file has waited for 2 min, and no receipt was written for 2 min: is a worker running?" in shown.text()


def test_what_is_wrong_with_the_publisher_is_said(shown: Shown) -> None:
    shown.vitals.readiness = lambda: {"pass": "2 steps of the last pass failed; the log says which"}

    assert "The publisher: 2 steps of the last pass failed" in shown.text()


def test_the_verdict_with_its_picture_and_its_report(shown: Shown) -> None:
    shown.posted(VERDICT)

    text, body = shown.text(), shown.at("/").body.decode()

    assert "churn: version 2 (staging) against version 1 (production) Staging is better." in text
    assert "To move production to it: python -m models promote staging --if-better" in text
    assert 'href="/report/churn"' in body
    picture, report = shown.at("/verdict/churn"), shown.at("/report/churn")
    assert (picture.kind, picture.body.decode()) == ("image/svg+xml", VERDICT.picture)
    assert report.body == b"<h1>At length</h1>"
    for answer in (picture, report):
        assert answer.headers["Content-Security-Policy"].startswith("sandbox; ")
        assert "script-src" not in answer.headers["Content-Security-Policy"]


def test_a_verdict_of_before_the_move_says_so(shown: Shown) -> None:
    shown.posted(VERDICT)
    shown.ended("a.csv", Status.SCORED, version="1")
    shown.clock.advance(1)
    shown.ended("b.csv", Status.SCORED, version="2")

    text = shown.text()

    assert "Version 2 scores the files now: this verdict was reached before it did." in text
    assert VERDICT.command not in text


def test_a_verdict_that_is_none_is_passed_over(shown: Shown) -> None:
    for number, content in enumerate((b"", b"[]", b"{}", b'{"model": 3}', b"\xff", b"{" * 100_000, b"1" * 5_000)):
        put(shown.bucket, f"output/verdicts/{number}.json", content)
    shown.clock.advance(1)
    shown.posted(replace(VERDICT, model="a/b ü", tone="<script>"))

    body = shown.at("/").body.decode()

    assert body.count('aria-label="Verdict"') == 1
    assert "tone-open" in body
    assert shown.at("/report/a%2Fb%20%C3%BC").status == 200


@pytest.mark.parametrize(
    "path", ["/report/", "/report/nobody", "/report/..%2F..%2Fa.csv", "/verdict/../a.csv", "/x", "//", "/favicon.ico"]
)
def test_nothing_else_of_the_bucket_can_be_read(shown: Shown, path: str) -> None:
    shown.posted(VERDICT)
    put(shown.bucket, "a.csv", b"secret")
    shown.at("/")

    assert shown.page(path) is None


def test_a_bucket_that_does_not_answer_is_said_above_the_last_state(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latest, "FRESH", 0.0)
    monkeypatch.setattr(latest, "SHARE", 0)
    shown.ended("a.csv", Status.SCORED)
    shown.posted(VERDICT)
    assert "Nothing waits." in shown.text()

    def away(_operation: str, _name: str) -> None:
        raise BucketError("the disk is gone")

    shown.bucket.hook = away

    text = shown.text()
    assert "The bucket or the queue does not answer. the disk is gone. What follows was so " in text
    assert "Nothing waits" not in text
    assert "a.csv scored" in text
    assert shown.at("/report/churn").status == 503
    shown.bucket.hook = None
    assert "does not answer" not in shown.text()


def test_a_page_that_has_never_seen_the_bucket_says_so(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise QueueError("the queue is locked")

    monkeypatch.setattr(shown.queue, "backlog", refuse)

    assert "The bucket or the queue does not answer. the queue is locked. Refreshes itself" in shown.text()


def test_nobody_waits_for_a_slow_bucket_and_many_readers_cost_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latest, "PATIENCE", 0.05)
    looks, go_on = [], threading.Event()

    def look() -> int:
        looks.append(1)
        assert go_on.wait(SECONDS)
        return len(looks)

    known = Latest(look)
    readers = [threading.Thread(target=known.get) for _ in range(50)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(SECONDS)
    assert (known.get().seen, len(looks)) == (None, 1)

    go_on.set()

    assert wait_for(lambda: known.get().seen) == 1
    assert len(looks) == 1  # it is fresh
    known.close()
    assert known.get().seen == 1


def test_a_look_that_takes_long_is_made_seldom() -> None:
    clock = Clock(0.0)
    seconds = [1.0]
    known: Latest[float] = Latest(lambda: clock.advance(seconds[0]) or clock.now, clock=clock)
    assert known.get().seen == 1.0

    clock.advance(SHARE - 0.1)
    assert known.get().seen == 1.0
    clock.advance(0.2)
    seconds[0] = 0.01
    assert known.get().seen == pytest.approx(SHARE + 1.11)
    clock.advance(FRESH + 0.01)
    assert known.get().seen == pytest.approx(SHARE + FRESH + 1.13)


def test_what_has_grown_old_while_nobody_read_is_said(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, go_on = Clock(0.0), threading.Event()
    shown.page._latest = known = Latest(shown.page._looker.look, clock=clock)
    assert "This is how it was" not in shown.text()
    clock.advance(7_200)
    monkeypatch.setattr(latest, "PATIENCE", 0.05)
    shown.bucket.hook = lambda _operation, _name: go_on.wait(SECONDS)

    assert "This is how it was 2 h ago; the bucket is being listed." in shown.text()
    assert '<meta http-equiv="refresh" content="1">' in shown.at("/").body.decode()

    go_on.set()
    wait_for(lambda: not known.get().looking)
    assert "This is how it was" not in shown.text()


def test_a_bucket_that_was_long_silent_is_asked_again_soon() -> None:
    clock, answers = Clock(0.0), []

    def look() -> str:
        clock.advance(90)
        answers.append(clock.now)
        if len(answers) == 1:
            raise BucketError("silent")
        return "there"

    known = Latest(look, clock=clock)
    assert known.get().trouble == "silent"
    clock.advance(FRESH + 0.1)
    assert known.get().seen == "there"


def test_what_cannot_change_is_read_once(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latest, "FRESH", 0.0)
    monkeypatch.setattr(latest, "SHARE", 0)
    for number in range(30):
        shown.ended(f"{number}.csv", Status.SCORED)
    shown.posted(VERDICT)
    read: list[str] = []
    shown.bucket.hook = lambda operation, name: read.append(name) if operation == "read" else None

    shown.text()
    assert len(read) == 21  # the newest 20 receipts and the verdict
    shown.clock.advance(1)
    shown.ended("new.csv", Status.SCORED)
    read.clear()
    assert "new.csv" in shown.text()
    assert [name.partition("@")[0] for name in read] == ["output/receipts/new.csv"]


def test_only_this_style_and_no_script_may_act(shown: Shown) -> None:
    answer = shown.at("/")

    policy = answer.headers["Content-Security-Policy"]
    [style] = re.findall(r"<style>(.*?)</style>", answer.body.decode(), flags=re.DOTALL)
    assert f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "<script" not in answer.body.decode()
    assert " style=" not in answer.body.decode()
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_it_refreshes_itself_or_holds_still(shown: Shown) -> None:
    assert '<meta http-equiv="refresh" content="5">' in shown.at("/").body.decode()
    assert "refresh" not in shown.at("/still").body.decode().partition("</head>")[0]


def test_texts_of_others_are_shown_and_do_nothing(shown: Shown) -> None:
    names = ["<img src=x>.csv", "two\nlines\u202e.csv", "{{ 7 * 7 }}.csv", f"{'long' * 60}.csv", "'\"&.csv"]
    for name in names:
        shown.ended(name, Status.REJECTED, version="", why=f"<b>{name}")

    body = shown.at("/").body.decode()

    assert "<img src=x" not in body
    assert "<b>" not in body
    assert "&lt;img src=x&gt;.csv" in body
    assert r"two\nlines\u202e.csv" in body
    assert "{{ 7 * 7 }}.csv" in body
    assert f'title="{"long" * 60}.csv">{"long" * 14}lon…onglong.csv'[:60] in body
    assert "\u202e" not in body


def ask(url: str, method: str = "GET", host: str = "localhost") -> tuple[int, str]:
    request = urllib.request.Request(url, method=method, headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_slow_page_holds_up_neither_health_nor_figures(shown: Shown) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(_path: str) -> Answer | None:
        asked.set()
        go_on.wait(SECONDS)
        return None

    with Signals("publisher", "127.0.0.1:0") as signals:
        signals.vitals, signals.pages = shown.vitals, slow
        readers = [threading.Thread(target=ask, args=(f"{signals.url}/",)) for _ in range(20)]
        for reader in readers:
            reader.start()
        assert asked.wait(SECONDS)

        assert [ask(f"{signals.url}{path}")[0] for path in ("/healthz", "/readyz", "/metrics")] == [200, 200, 200]

        go_on.set()
        for reader in readers:
            reader.join(SECONDS)


def test_over_http_it_is_read_only(shown: Shown) -> None:
    with Signals("publisher", "127.0.0.1:0") as signals:
        signals.vitals, signals.pages = shown.vitals, shown.page
        assert "No file has come yet" in ask(f"{signals.url}/?from=a-link")[1]
        assert ask(f"{signals.url}/", "HEAD") == (200, "")
        assert ask(f"{signals.url}/", "POST")[0] == 405
        assert '"/", "/metrics"' in ask(f"{signals.url}/nothing")[1]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:9464", 200),
        ("[::1]:9464", 200),
        ("localhost", 200),
        ("a.localhost:1", 200),
        ("elsewhere.example:9464", 421),
        ("localhost.example", 421),
        ("1.2.3.4.example", 421),
    ],
)
def test_a_page_of_elsewhere_whose_name_was_bent_to_here_reads_nothing(shown: Shown, host: str, status: int) -> None:
    with Signals("publisher", "127.0.0.1:0") as signals:
        signals.vitals, signals.pages = shown.vitals, shown.page
        assert ask(f"{signals.url}/", host=host)[0] == status
        assert ask(f"{signals.url}/readyz", host=host)[0] == 200


def test_the_program_serves_it(tmp_path: Path) -> None:
    process = start(tmp_path, "--listen", "127.0.0.1:0")
    try:
        assert process.stderr is not None
        url = next(found["url"] for line in process.stderr if (found := json.loads(line))["message"] == "listening")
        wait_for(lambda: "No file has come yet" in ask(f"{url}/")[1])
    finally:
        process.terminate()
        process.communicate(timeout=SECONDS)
    assert process.returncode == 0


def test_a_port_that_is_taken_is_found_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert taken(port)
    assert not taken(port)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7_199, "120 min"), (7_200, "2 h"), (2e5, "2 days")],
)
def test_a_time_in_words(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(1, "1 byte"), (4, "4 bytes"), (1_500, "1.5 kB"), (2e7, "20 MB"), (5e12, "5,000.0 GB")]
)
def test_a_size_in_words(count: float, text: str) -> None:
    assert size(count) == text


def test_of_a_long_name_the_end_stays() -> None:
    assert cut("short.csv", 20) == "short.csv"
    assert cut("a-very-long-name-of-a-file.csv", 20) == "a-very-long-n…le.csv"


def test_a_verdict_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert PostedVerdict.from_json(VERDICT.to_json()) == VERDICT
    assert PostedVerdict.from_json(VERDICT.to_json().replace('"model"', '"news": 1, "model"')) == VERDICT
