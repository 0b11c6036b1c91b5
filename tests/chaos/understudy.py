"""The real programs, running in a folder of a test's own: dropped on, killed, stopped, and watched through /proc."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from deploy.waiting import SECONDS, wait_for
from ledger.names import CLAIMS, FAILURES, RECEIPTS, output_name, parse_key
from ledger.receipt import Outcome
from tests.chaos.files import MODEL as MODEL
from tests.chaos.files import big as big
from tests.chaos.files import csv_of as csv_of
from tests.chaos.files import surveys as surveys
from tests.chaos.files import undisturbed as undisturbed
from tests.chaos.processes import children, entries, open_files, scoring_processes, send
from tests.starter import Process, start
from transport.bucket import get
from transport.buckets.folder.bucket import FolderBucket
from transport.event import Generation, ObjectEvent
from transport.queue import Policy
from transport.queues.sqlite.queue import LocalQueue

ROOT = Path(__file__).parents[2]
STEADY = Policy(lease=60.0, max_delivery_attempts=5, min_backoff=0.05, max_backoff=0.5)
"""What is given back comes again at once, and no lease runs out by itself, though the machine stand still for a while.

Where one is to run out, a test says when: `Running.let_leases_run_out`.
"""


@dataclass
class Program:
    """One running program, in a process group of its own, with its log in a file."""

    process: Process
    log: Path
    _records: list[dict[str, Any]] = field(default_factory=list)
    _read: int = 0  # bytes of the log that are among the records

    @property
    def pid(self) -> int:
        return self.process.pid

    def records(self, event: str | None = None, *, since: int = 0, **fields: Any) -> list[dict[str, Any]]:
        """The log so far, without its first `since` records: those of this event with these fields."""
        with self.log.open("rb") as log:  # only what is new: a log that is watched under load grows long
            log.seek(self._read)
            new = log.read()
        whole_lines = new[: new.rfind(b"\n") + 1]
        self._read += len(whole_lines)
        for line in whole_lines.splitlines():
            with suppress(ValueError):
                self._records.append(json.loads(line))
        return [
            record
            for record in islice(self._records, since, None)
            if event in (None, record.get("message")) and fields.items() <= record.items()
        ]

    def last_words(self) -> str:
        """How the log ends, and every warning before that."""
        records = self.records()
        told = [r for r in records[:-20] if r.get("severity") in ("WARNING", "ERROR", "CRITICAL")] + records[-20:]
        return "\n".join([f"{self.log.name}:", *map(json.dumps, told)])

    def wait_for_log(self, event: str, seconds: float = SECONDS, **fields: Any) -> dict[str, Any]:
        """The first such record."""
        seen = 0

        def there() -> list[dict[str, Any]]:
            nonlocal seen
            has_ended = self.process.poll() is not None
            found = self.records(event, since=seen, **fields)
            assert found or not has_ended, f"it ended with {self.process.returncode}: {self.log}"
            seen = len(self._records)
            return found

        return wait_for(there, f"{event!r} {fields} in {self.log}", seconds)[0]

    def scorers(self) -> list[int]:
        """Process ids of its scoring processes, those of the shadow too."""
        return scoring_processes(self.pid)

    def family(self) -> list[int]:
        return [self.pid, *children(self.pid)]

    def scorer_with(self, file: Path) -> int | None:
        """The scoring process that has this file open."""
        assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.log}"
        return next((pid for pid in self.scorers() if str(file) in open_files(pid)), None)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Sends the signal to the parent alone."""
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM, seconds: float = SECONDS) -> int:
        """Sends the signal and gives the exit status."""
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def status(self) -> int:
        """The exit status, once it ends by itself."""
        return self.process.wait(SECONDS)


class Running:
    """Publishers and workers around one bucket, queue and registry. Use as a context manager: it ends all of them."""

    def __init__(self, folder: Path, registry: str, cache_folder: Path, policy: Policy = STEADY) -> None:
        self.folder, self.registry = folder, registry
        self.bucket = FolderBucket(str(folder / "bucket"))
        self.root = Path(self.bucket.url)
        self.queue = LocalQueue(str(folder / "queue.db"), policy=policy)
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.programs: list[Program] = []
        self.path: list[Path] = []  # what stands before the sources in PYTHONPATH
        self.environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.temporary),
            "OMP_NUM_THREADS": "1",
            "MLFLOW_TRACKING_URI": registry,
            "UNDERSTUDY_BUCKET": self.bucket.url,
            "UNDERSTUDY_QUEUE": self.queue.url,
            "UNDERSTUDY_MODEL_CACHE": str(cache_folder),
            "UNDERSTUDY_FILENAMES_LOG": str(folder / "new_data_filenames.txt"),
        }

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        for program in self.programs:
            for pid in program.family() if program.process.poll() is None else []:
                send(pid, signal.SIGCONT)
                send(pid, signal.SIGKILL)
            program.process.wait(20)
        self.queue.close()

    def set_policy(self, policy: Policy) -> None:
        """For every program on this queue, from now on."""
        LocalQueue(self.queue.url, policy=policy).close()

    def start(self, program: str, *options: str, root: Path = ROOT, by_exec: bool = False) -> Program:
        """`python -m program options`, its log in a file; `by_exec`: it is to import its libraries itself."""
        log = self.folder / f"{len(self.programs):02}-{program.replace(' ', '-')}.log"
        process = start(
            [*program.split(), *options],
            folder=self.folder,
            environment={**self.environment, "PYTHONPATH": os.pathsep.join(map(str, [*self.path, root]))},
            log=log,
            by_exec=by_exec,
        )
        self.programs.append(Program(process, log))
        return self.programs[-1]

    def publisher(self, *options: str) -> Program:
        """A publisher that looks often, for which a file is complete at once (they are dropped by a rename)."""
        return self.start("publisher", "--interval", "200ms", "--settle", "0", *options)

    def worker(self, *options: str, by_exec: bool = False) -> Program:
        """A worker of one scoring process that looks at the aliases often."""
        options = ("--processes", "1", "--registry-poll-seconds", "0.2", *options)
        return self.start("worker", *options, by_exec=by_exec)

    def ready(self, *workers: Program) -> None:
        for worker in workers:
            worker.wait_for_log("worker ready")

    def ready_with_shadow(self, worker: Program) -> None:
        """Ready, and with its staging version: a worker does not wait for one that is slow to come."""
        self.ready(worker)
        worker.wait_for_log("version in force", alias="staging")

    def drop(self, name: str, content: bytes) -> Generation:
        """A file, there at once and whole; gives its generation."""
        unfinished = self.root / f".{name}.tmp"
        unfinished.write_bytes(content)
        os.replace(unfinished, self.root / name)
        return Generation((self.root / name).stat().st_ctime_ns)

    def event(self, name: str) -> ObjectEvent:
        """The event about what `name` is now."""
        return ObjectEvent(self.bucket.name, name, Generation((self.root / name).stat().st_ctime_ns))

    def receipts(self, name: str | None = None) -> list[Outcome]:
        """Every receipt, or those of one file, the earlier generations first."""
        found = []
        for info in self.bucket.objects(RECEIPTS, recursive=False):
            key = parse_key(info.name, RECEIPTS)
            assert key is not None, info.name
            if name in (None, key.name):
                outcome = Outcome.from_json(get(self.bucket, info.name))
                assert outcome.key == key
                found.append(outcome)
        return sorted(found, key=lambda outcome: outcome.key)

    def count_receipts(self) -> int:
        return len([entry for entry in entries(str(self.root / RECEIPTS)) if entry.endswith(".json")])

    def output(self, name: str) -> bytes | None:
        path = self.root / output_name(name)
        return path.read_bytes() if path.exists() else None

    def backlog(self) -> int:
        """Messages that wait or are in somebody's hand."""
        backlog = self.queue.backlog()
        return (backlog.waiting or 0) + (backlog.leased or 0)

    def lease_ends(self) -> float | None:
        """When the lease of the one message that is in somebody's hand runs out, in seconds since 1970."""
        with closing(sqlite3.connect(f"file:{self.queue.url}?mode=ro", uri=True)) as queue:
            found = queue.execute("SELECT due FROM message WHERE leased = 1 AND dead = 0").fetchone()
        return found[0] if found else None

    def let_leases_run_out(self) -> None:
        """From now on whatever is in somebody's hand is in it without a lease, as if its time were over."""
        with closing(sqlite3.connect(self.queue.url, timeout=SECONDS)) as queue, queue:
            queue.execute("UPDATE message SET due = 0 WHERE leased = 1 AND dead = 0")

    def wait_until_done(self, receipts: int, seconds: float = SECONDS) -> None:
        """Until there are so many receipts and nothing is left in the queue."""
        wait_for(lambda: self.count_receipts() >= receipts, f"{receipts} receipts", seconds)
        wait_for(lambda: self.backlog() == 0, "an empty queue", seconds)

    def stop_in_mid_file(self, worker: Program, name: str) -> int:
        """Stops the scoring process of a worker that reads this file, before it has claimed anything; gives its id."""
        scorer = wait_for(lambda: worker.scorer_with(self.root / name), "a scoring process that reads", every=0.001)
        send(scorer, signal.SIGSTOP)
        assert worker.scorer_with(self.root / name) == scorer, "it was to be stopped in the middle of the file"
        assert not entries(str(self.root / CLAIMS)), "it was to be stopped before it had done"
        return scorer

    def do_the_rest(self) -> Program:
        """Another worker, which does what is left; ended once it has, and has its versions, so that it ends nothing.

        A process that is killed while it loads a version leaves an empty temporary folder behind.
        """
        worker = self.worker()
        self.ready_with_shadow(worker)
        wait_for(lambda: self.backlog() == 0, "an empty queue")
        assert worker.end() == 0, worker.log.read_text()
        return worker

    def next_pass(self) -> None:
        """One pass of another publisher, which knows nothing of the first: what is published again, and tidied up."""
        publisher = self.start("publisher", "--once", "--settle", "0")
        assert publisher.status() == 0, publisher.log.read_text()

    def next_run(self) -> None:
        """Such a pass and the start of a worker, as after any end: what cleans up after the dead."""
        self.next_pass()
        self.do_the_rest()

    def left_behind(self) -> list[str]:
        """Temporary files, metadata of no object, claims and notes: what nobody needs any more."""
        hidden = self.root / ".understudy"
        objects = {(info.st_ino, info.st_mtime_ns) for info in map(os.stat, self._files())}
        meta = [entry for entry in entries(str(hidden / "meta")) if tuple(map(int, entry.split("-"))) not in objects]
        left = [f"meta/{entry}" for entry in meta]
        left += [f"tmp/{entry}" for entry in entries(str(hidden / "tmp"))]
        left += [f"$TMPDIR/{entry}" for entry in entries(str(self.temporary))]
        return left + [info.name for folder in (CLAIMS, FAILURES) for info in self.bucket.objects(folder)]

    def _files(self) -> Iterator[Path]:
        return (path for path in self.root.rglob("*") if path.is_file())
