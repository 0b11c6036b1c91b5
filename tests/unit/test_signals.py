"""What a program says of itself over HTTP, and that it harms nobody by it."""

from __future__ import annotations

import gc
import json
import socket
import threading
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from deploy.waiting import SECONDS
from edge import metrics, probe, server
from edge.address import CannotSignal, host_and_port
from edge.cached import Cached
from edge.listen import Listening
from edge.server import CONNECTIONS
from edge.signals import Signals
from ledger.receipt import Status

HERE = "127.0.0.1:0"


class Patient:
    """Vitals as a test sets them."""

    def __init__(self, wrong: str = "", error: Exception | None = None) -> None:
        self.wrong, self.error = wrong, error

    def health(self):
        if self.error:
            raise self.error
        return {"progress": self.wrong, "other": ""}

    readiness = health

    def refresh(self):
        metrics.IN_HAND.set(7)


@pytest.fixture
def signals():
    with Signals("worker", HERE) as served:
        yield served


def ask(url, method="GET"):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=SECONDS) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


def test_a_program_that_starts_lives_and_is_not_ready(signals):
    assert ask(f"{signals.url}/healthz")[0] == 200

    status, kind, body = ask(f"{signals.url}/readyz")

    assert (status, kind) == (503, "application/json; charset=utf-8")
    assert json.loads(body) == {
        "status": "failing",
        "program": "worker",
        "checks": {"start": "it is still starting"},
    }


def test_the_answer_says_what_is_wrong(signals):
    signals.vitals = Patient("messages have waited for 350 s")

    status, _, body = ask(f"{signals.url}/healthz?verbose")

    assert status == 503
    assert json.loads(body)["checks"] == {"progress": "messages have waited for 350 s", "other": "ok"}


def test_figures_of_the_program_and_of_no_other(signals):
    signals.vitals = Patient("it is ill")

    status, kind, body = ask(f"{signals.url}/metrics")

    assert (status, kind.partition(";")[0]) == (200, "text/plain")
    families = {family.name: family for family in text_string_to_metric_families(body)}
    listed = {m.name.removesuffix("_total") for m in metrics.METRICS if metrics.WORKER in m.programs}
    assert {name for name in families if name.startswith("understudy_")} == listed
    assert families["understudy_in_hand"].samples[0].value == 7
    assert families["understudy_healthy"].samples[0].value == 0
    assert families["process_resident_memory_bytes"].samples[0].value > 1e6


def test_head_has_no_body_and_other_paths_are_named(signals):
    assert ask(f"{signals.url}/healthz", "HEAD") == (200, "application/json; charset=utf-8", "")
    assert ask(f"{signals.url}/")[0] == 404
    assert "/readyz" in ask(f"{signals.url}/nothing")[2]


def test_an_error_in_looking_is_an_answer(signals):
    signals.vitals = Patient(error=OSError("the disk is gone"))

    status, _, body = ask(f"{signals.url}/healthz")

    assert status == 500
    assert "the disk is gone" in json.loads(body)["error"]


@pytest.fixture
def clients(signals):
    """Makes connections to the server; all are closed in the end."""
    host, _, port = signals.url.removeprefix("http://").partition(":")
    made: list[socket.socket] = []

    def connect(sent: bytes = b"") -> socket.socket:
        made.append(socket.create_connection((host, int(port)), timeout=SECONDS))
        made[-1].sendall(sent)
        return made[-1]

    yield connect
    for client in made:
        client.close()


def test_who_asks_is_answered_though_all_places_are_taken(signals, clients):
    # given more clients than there are places, which say nothing or half a request
    before = threading.active_count()
    slow = [clients(b"GET /heal" if number % 2 else b"") for number in range(CONNECTIONS + 20)]

    # then whoever asks is answered, again and again
    for _ in range(30):
        assert ask(f"{signals.url}/healthz")[0] == 200

    # and the longest waiting have made room; nobody took a thread
    with suppress(ConnectionResetError):
        assert slow[0].recv(100) == b""
    assert threading.active_count() <= before + 6


def test_a_client_that_sends_byte_by_byte_is_not_waited_for(signals, clients, monkeypatch):
    monkeypatch.setattr(server, "PATIENCE", 0.5)
    slow = clients()

    with suppress(ConnectionResetError, BrokenPipeError, TimeoutError):
        slow.settimeout(0.1)
        for byte in b"GET /healthz HTTP/1.0" + b"\r\nA: b" * 10_000:
            slow.send(bytes([byte]))
            with suppress(TimeoutError):
                assert slow.recv(1) == b""  # closed unanswered
                break
        else:
            pytest.fail("it was listened to to the end")


def test_a_figure_that_is_slow_to_come_holds_up_no_health(signals):
    asked, go_on = threading.Event(), threading.Event()

    class Slow(Patient):
        def refresh(self):
            asked.set()
            go_on.wait(SECONDS)

    signals.vitals = Slow()
    scrapes = [threading.Thread(target=ask, args=(f"{signals.url}/metrics",)) for _ in range(20)]
    for scrape in scrapes:
        scrape.start()
    assert asked.wait(SECONDS)

    assert ask(f"{signals.url}/healthz")[0] == 200

    go_on.set()
    for scrape in scrapes:
        scrape.join(SECONDS)
        assert not scrape.is_alive()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /healthz HTTP/1.1\r\n\r\n", b"405"),
        (b"\x00\xff\r\n\r\n", b"405"),
        (b"GET /healthz HTTP/1.1\r\nA: " + b"b" * 20_000 + b"\r\n\r\n", b"431"),
        (b"GET\r\n\r\n", b"404"),
        (b"GET /healthz\r\nno field\r\n: \r\n\r\n", b"200"),
    ],
)
def test_a_request_that_is_none_gets_an_answer(clients, request_, status):
    with clients(request_) as client:
        assert client.recv(12).split()[1] == status


def test_a_server_that_ends_closes_every_connection_also_those_that_come_just_then():
    for _ in range(10):
        with ExitStack() as connections:
            with Signals("worker", HERE) as served:
                port = int(served.url.rpartition(":")[2])
                for _ in range(100):
                    connections.enter_context(socket.create_connection(("127.0.0.1", port)))
            gc.collect()  # what was left open would be warned of here


def test_an_address_that_is_taken_is_an_error_at_the_start(signals):
    taken = signals.url.removeprefix("http://")

    with pytest.raises(CannotSignal, match=f"--listen {taken}: Address already in use; is another program"):
        Signals("worker", taken)


def test_without_an_address_there_is_no_server():
    before = threading.active_count()
    with Signals("worker", "") as served:
        assert served.url == ""
        assert threading.active_count() == before


@pytest.mark.parametrize(
    ("text", "parts"),
    [("127.0.0.1:9464", ("127.0.0.1", 9464)), ("[::1]:1", ("::1", 1)), ("localhost:0", ("localhost", 0))],
)
def test_an_address_in_two_parts(text, parts):
    assert host_and_port(text) == parts


@pytest.mark.parametrize("text", ["9464", ":9464", "host:", "host:70000", "host:1x", "host"])
def test_an_option_that_is_no_address_is_refused(text):
    with pytest.raises(ValidationError, match="write HOST:PORT"):
        Listening(listen=text)


def test_the_probe_of_a_container(signals, capsys):
    assert probe.Probe(url=f"{signals.url}/healthz").run() == 0
    assert capsys.readouterr().out == ""

    assert probe.Probe(url=f"{signals.url}/readyz").run() == 1
    assert "it is still starting" in capsys.readouterr().out

    signals.close()
    assert probe.Probe(url=f"{signals.url}/healthz").run() == 1
    assert "does not answer" in capsys.readouterr().out


def test_every_metric_is_named_and_described_as_prometheus_has_it():
    names = [metric.name for metric in metrics.METRICS]
    assert len(set(names)) == len(names)
    for metric in metrics.METRICS:
        assert metric.name.startswith("understudy_")
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.programs, metric.name
        assert metric.help, metric.name
    [files] = [metric for metric in metrics.METRICS if metric.collector is metrics.FILES]
    assert set(files.labels["status"]) == set(Status)


def test_what_is_costly_is_looked_up_once_in_a_while():
    now, looked = [0.0], []

    def look_up():
        looked.append(now[0])
        return len(looked)

    value = Cached(look_up, 0, 5.0, clock=lambda: now[0])
    assert [value.get(), value.get()] == [1, 1]
    now[0] = 5.0
    assert value.get() == 2


def test_while_one_thread_looks_the_others_get_what_was_seen_last():
    looking, go_on = threading.Event(), threading.Event()

    def look_up():
        looking.set()
        go_on.wait(SECONDS)
        return 1

    value = Cached(look_up, 0, 5.0)
    thread = threading.Thread(target=value.get)
    thread.start()
    assert looking.wait(SECONDS)
    assert value.get() == 0
    go_on.set()
    thread.join()
    assert value.get() == 1
