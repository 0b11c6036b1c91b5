"""Names and cells from anybody: text everywhere, never a command, a path, a format, markup or a terminal's order."""

from __future__ import annotations

import ast
import io
import json
import os
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import structlog
from markupsafe import escape
from rich.console import Console

from edge.command import main
from edge.log import start_log
from edge.terminal import harmless, written_out
from ledger.commit import bring_to_receipt, claim_outcome
from ledger.names import RECEIPTS, Key
from ledger.receipt import Outcome, RowError, Source, Status
from models.evidence.pages import terminal
from models.evidence.pages.report import render
from publisher.__main__ import ABOUT, COMMANDS
from publisher.publish import Reconciler
from tests.memory import MemoryQueue
from tests.unit.test_evidence_summary import file_record, summarised
from tests.unit.test_house import modules
from tests.worker_fixtures import Here, Worker, contents, fetched, receipt_of, table
from transport.buckets.folder.bucket import FolderBucket
from transport.event import Generation, Message, ObjectEvent, UnusableMessage, refuse_bad_name
from transport.queues.sqlite.queue import LocalQueue
from worker.handle import FilenamesLog
from worker.versions.swap import InForce

NAMES = (
    "$(touch owned).csv",
    "`touch owned`.csv",
    "; touch owned;.csv",
    "| touch owned.csv",
    "-rf.csv",
    "--help.csv",
    "%s%n%d{}{0}{name!r}.csv",
    "{event}%(message)s.csv",
    "a\\..\\..\\owned.csv",
    "a..csv.csv",
    "%2e%2e%2fowned.csv",
    "<img src=x onerror=alert(1)>.csv",
    "'\"><script>alert(1)<.csv",
    "[red]bold[blink].csv",
    "=cmd|' %2FC calc'!A0.csv",
    "\u202evsc.exe.csv",
    "a@1.json.csv",
    "*.csv",
    "~root.csv",
    "CON.csv",
)
BEYOND = ("../owned.csv", "a/../../owned.csv", "/owned.csv", "output/../owned.csv", ".understudy/lock.csv", "./a.csv")
CONTROLS = ("a\nb.csv", "a\x1b[31mred.csv", "a\x9b31mred.csv", "a\u2028b.csv", "a\x00.csv", "a\rb.csv", "a\x7f.csv")
BACKWARDS = ("a\u202evsc.exe.csv", "a\u2066b\u2069.csv", "a\u200fb.csv")
CELLS = (
    "$(touch owned)",
    "%s%n{}{0}",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "{{7*7}}{% raw %}",
    "\x1b[2J\x1b]0;owned\x07",
    "[link=http://evil]x[/link]",
    "=cmd|' /C calc'!A0",
    "../../owned",
)


@pytest.fixture
def bucket(tmp_path: Path) -> FolderBucket:
    return FolderBucket(str(tmp_path / "house" / "bucket"))


def outside(tmp_path: Path) -> list[str]:
    """Whatever lies beside the bucket."""
    return sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if "bucket" not in path.parts)


def test_hostile_names_and_cells_go_all_the_way_as_text(
    bucket: FolderBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given files whose names and cells are meant to be something else than names and cells
    monkeypatch.chdir(tmp_path / "house")
    root = Path(bucket.url)
    hostile = [f'"{cell}","{cell}","{cell}",30,no' for cell in (cell.replace('"', '""') for cell in CELLS)]
    content = table([*hostile, "7,red,1,30,no"])  # a file without a row that can be scored would be rejected
    for name in NAMES:
        (root / name).write_bytes(content)
    versions = InForce(fetched(tmp_path, "1"), fetched(tmp_path, "2", bias=2.0))
    before = outside(tmp_path)
    stream = io.StringIO()
    start_log("worker", "debug", stream=stream)

    # When they are published, scored, and compared
    with closing(LocalQueue(str(tmp_path / "house" / "bucket" / ".queue.db"))) as queue:
        done = Reconciler(bucket, queue, MemoryQueue(), settle=0.0).full_pass()
        assert done.published == len(NAMES)
        filenames = FilenamesLog(str(root / ".names.txt"))
        worker = Worker(bucket, queue, Here(bucket), Here(bucket), versions, options={"filenames": filenames})
        worker.loop.run(until_idle=0.0)

    # Then each has its receipt, its outputs and its comparison, below output/, and nothing else was made
    told = sorted(json.loads(text)["source"]["name"] for text in contents(bucket, RECEIPTS).values())
    assert told == sorted(NAMES)
    for name in NAMES:
        key = Key(name, Generation((root / name).stat().st_ctime_ns))
        receipt = receipt_of(bucket, key)
        assert (receipt.status, receipt.rows, receipt.rejected_rows) == (Status.SCORED, len(CELLS) + 1, len(CELLS))
        assert bucket.stat(key.output) is not None
        assert bucket.stat(key.shadow) is not None
        assert bucket.stat(key.comparison) is not None
    assert outside(tmp_path) == before
    assert {info.name for info in bucket.objects(recursive=False)} == {*NAMES, ".names.txt"} | {
        entry for entry in os.listdir(root) if entry.startswith(".queue.db")
    }

    # And each line of the logs is one record, with the name as it is, and no row's content
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert sorted(r["file"] for r in records if r["message"] == "receipt written") == sorted(NAMES)
    values = [str(value) for record in records for key, value in record.items() if key not in ("file", "reason")]
    assert [value for value in values if any(cell in value for cell in CELLS)] == []
    lines = (root / ".names.txt").read_text().splitlines()
    assert sorted(line.split(" ", 2)[2] for line in lines) == sorted(NAMES)


@pytest.mark.parametrize("name", [*BEYOND, *CONTROLS])
def test_names_that_lead_elsewhere_or_order_about_are_no_names(name: str, bucket: FolderBucket, tmp_path: Path) -> None:
    message = ObjectEvent(bucket.name, name, Generation(1)).to_message()
    before = outside(tmp_path)
    worker = Worker(bucket, MemoryQueue(), Here(bucket), Here(bucket), InForce(None))

    worker.queue.publish([message])
    worker.handler.handle(worker.take())

    assert outside(tmp_path) == before
    assert not contents(bucket, "output/pred_")
    if name != ".understudy/lock.csv":  # which is no input: passed over
        with pytest.raises(UnusableMessage):
            refuse_bad_name(name)
        [record] = contents(bucket, "output/receipts/.unusable/").values()
        assert json.loads(record)["reason"]


@pytest.mark.parametrize(
    "name", [*CONTROLS[1:4], CONTROLS[5], "a\u202evsc.exe.csv", "a\u2066b\u2069.csv", "a\u200fb.csv"]
)
def test_a_terminal_is_ordered_about_by_no_name(name: str, bucket: FolderBucket) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    start_log("publisher", "debug", stream=terminal)

    structlog.get_logger().info("not an input", file=name)

    [shown] = terminal.getvalue().splitlines()
    assert "not an input" in shown
    assert not [sign for sign in ("\x1b[31mred", "\x9b", "\u2028", "\r") if sign in shown]
    assert shown.isprintable() or "\x1b[" in shown  # the log's own colours
    assert not {"\u202e", "\u2066", "\u200f"} & set(shown)


@pytest.mark.parametrize("command", ["status", "dead-letters"])
def test_what_people_look_at_shows_names_and_reasons_as_text(
    command: str,
    bucket: FolderBucket,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given hostile names and reasons on receipts and records
    for name in NAMES:
        source = Source(bucket.name, name, 7)
        errors = (RowError(" ".join(CELLS)),)
        outcome = Outcome(Status.DEAD_LETTERED, source, attempt=5, errors=errors, finished="2026-01-01T00:00:00Z")
        bring_to_receipt(bucket, outcome.key, lambda outcome=outcome: claim_outcome(bucket, outcome))
    worker = Worker(bucket, MemoryQueue(), Here(bucket), Here(bucket), InForce(None))
    worker.queue.publish([Message(b"", {"eventType": cell}) for cell in CELLS])
    for _ in CELLS:
        worker.handler.handle(worker.take())
    monkeypatch.setenv("COLUMNS", "2000")
    places = ["--bucket", bucket.url, "--queue", str(tmp_path / "queue.db")]
    LocalQueue(places[3]).close()

    assert main("publisher", ABOUT, COMMANDS, arguments=[command, *places]) == 0

    out = capsys.readouterr().out
    assert all(harmless(name) in out for name in NAMES)
    assert "\u202e" not in out
    assert not [sign for sign in ("\x1b[2J", "\x1b]0;", "\x07") if sign in out]


class Tags(HTMLParser):
    """The tags of a page, and the attributes that could run something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {tag, *(name for name, _ in attrs if name.startswith("on"))}


@pytest.mark.parametrize("cell", CELLS)
def test_hostile_cells_stay_text_in_the_report_and_on_the_terminal(cell: str) -> None:
    # Given a comparison whose most telling slice, and whose failures, are made of a hostile cell
    summary = summarised([file_record(number, better=0.5) for number in range(8)])
    summary = replace(summary, notes=(cell, *summary.notes))
    assert summary.slices_best
    hostile = tuple(replace(each, level=cell) for each in summary.slices_best)
    summary = replace(summary, slices_best=hostile, slices=hostile)
    tags = Tags()

    tags.feed(page := render(summary))
    out = io.StringIO()
    Console(file=out, width=400).print(terminal.render(summary))

    assert escape(written_out(cell)) in page
    assert not [sign for sign in page if not sign.isprintable() and sign != "\n"]
    assert tags.found.isdisjoint({"script", "img", "iframe", "object", "onerror", "onload", "link"})
    assert "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in cell) in out.getvalue()


def calls(room: str) -> list[tuple[str, ast.Call]]:
    return [
        (f"{module}:{node.lineno}", node)
        for module, path in modules(room).items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]


ROOMS = ("transport", "ledger", "edge", "publisher", "worker", "models", "deploy", "benchmarks")
RUNS_TEXT = {
    "eval",
    "exec",
    "os.system",
    "os.popen",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
    "__import__",
}
MAY_LOAD = (
    "benchmarks.scoring.kept:",  # what the same run of the benchmark has written
    "models.training.adoption.preprocessing:",  # what its owner says to trust
)
LOADS_CODE = {"pickle.load", "pickle.loads", "joblib.load", "cloudpickle.load", "yaml.load", "yaml.unsafe_load"}


@pytest.mark.parametrize("room", ROOMS)
def test_no_text_is_run_as_a_command_or_as_code(room: str) -> None:
    wrong = [
        place
        for place, call in calls(room)
        if ast.unparse(call.func) in (RUNS_TEXT if place.startswith(MAY_LOAD) else RUNS_TEXT | LOADS_CODE)
        or any(word.arg == "shell" and ast.unparse(word.value) != "False" for word in call.keywords)
    ]

    assert calls(room)
    assert wrong == []


@pytest.mark.parametrize("room", ["transport", "ledger", "edge", "publisher", "worker"])
def test_what_is_logged_is_a_fixed_text_with_fields(room: str) -> None:
    levels = {"debug", "info", "warning", "error", "exception", "critical"}
    wrong = [
        place
        for place, call in calls(room)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in levels
        and ast.unparse(call.func.value) in ("log", "told", "self._log", "self.log", "file.log", "logger")
        and not (call.args and isinstance(call.args[0], ast.Constant | ast.IfExp | ast.Name))
    ]
    formats = [
        place
        for place, call in calls(room)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in ("format", "format_map")
        and not isinstance(call.func.value, ast.Constant)
    ]

    assert wrong == []
    assert formats == []


def test_worker_and_publisher_start_no_programs() -> None:
    wrong = [
        place
        for room in ("transport", "ledger", "edge", "publisher", "worker")
        for place, call in calls(room)
        if ast.unparse(call.func).startswith(("subprocess.", "os.exec", "os.spawn", "pty."))
    ]

    assert wrong == []
