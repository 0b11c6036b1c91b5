"""The real programs, running in a folder of a test's own: dropped on, killed, stopped, and watched through /proc."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from deploy.waiting import SECONDS, wait_for
from ledger.names import CLAIMS, FAILURES, RECEIPTS, output_name, parse_key
from ledger.receipt import Outcome
from models.registry import Registry
from tests.memory import MemoryBucket
from transport.bucket import get, put
from transport.event import Generation, ObjectEvent
from transport.folder import FolderBucket
from transport.local_queue import LocalQueue
from transport.queue import Policy
from worker.score import Attempt, score_file
from worker.scoring_process import load

ROOT = Path(__file__).parents[2]
MODEL = "airline-satisfaction"
QUICK = Policy(lease=4.0, max_delivery_attempts=5, min_backoff=0.05, max_backoff=0.5)
"""A queue whose messages come back at once, so that tests of redelivery need not wait for half a minute."""
STEADY = replace(QUICK, lease=60.0)
"""The same where no lease may run out, though the machine stand still for a while."""


@cache
def surveys(files: int, rows: int, seed: int = 7) -> dict[str, bytes]:
    """`files` surveys of `rows` rows each, by name; the same for the same numbers."""
    from models.airline.sample import survey

    table = survey(files * rows, seed)
    return {f"part {i:03}.csv": csv_of(table[i * rows : (i + 1) * rows]) for i in range(files)}


def csv_of(table: Any) -> bytes:
    text = io.StringIO()
    table.to_csv(text, index=False, lineterminator="\n")
    return text.getvalue().encode()


def undisturbed(registry: str, cache_folder: Path, version: str, files: dict[str, bytes]) -> dict[str, bytes]:
    """What one version writes for each file when nothing happens to anybody: the worker's own code, in this process."""
    scorer = load(Registry(registry, MODEL).fetch(version, cache_folder))
    outputs = {}
    for name, content in files.items():
        bucket = MemoryBucket()
        event = ObjectEvent(bucket.name, name, Generation(put(bucket, name, content).generation))
        claim = score_file(bucket, Attempt(event, 1, "undisturbed"), scorer)
        assert claim is not None
        outputs[name] = get(bucket, claim.name)
    return outputs


@dataclass
class Program:
    """One running program, in a process group of its own, with its log in a file."""

    process: subprocess.Popen[bytes]
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


def children(pid: int) -> list[int]:
    """Process ids of the direct children of a process, whichever of its threads made them."""
    found: list[int] = []
    for thread in entries(f"/proc/{pid}/task"):
        found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def scoring_processes(pid: int) -> list[int]:
    """Those that a process has started and that live; multiprocessing is not asked, it would reap the dead."""
    return [child for child in children(pid) if b"spawn_main" in _read(f"/proc/{child}/cmdline")]


def open_files(pid: int) -> set[str]:
    """Paths of the files that a process has open."""
    paths = set()
    for number in entries(f"/proc/{pid}/fd"):
        with suppress(OSError):
            paths.add(os.readlink(f"/proc/{pid}/fd/{number}"))
    return paths


def entries(folder: str) -> list[str]:
    """What lies in a folder; nothing where it is gone."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def send(pid: int, number: int) -> None:
    """A signal to a process that may be gone already."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


class Running:
    """Publishers and workers around one bucket, queue and registry. Use as a context manager: it ends all of them."""

    def __init__(self, folder: Path, registry: str, cache_folder: Path, policy: Policy = QUICK) -> None:
        self.folder, self.registry = folder, registry
        self.bucket = FolderBucket(str(folder / "bucket"))
        self.root = Path(self.bucket.url)
        self.queue = LocalQueue(str(folder / "queue.db"), policy=policy)
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.programs: list[Program] = []
        self._environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.temporary),
            "OMP_NUM_THREADS": "1",
            "MLFLOW_TRACKING_URI": registry,
            "BUCKET": self.bucket.url,
            "QUEUE": self.queue.url,
            "MODEL_CACHE": str(cache_folder),
            "FILENAMES_LOG": str(folder / "new_data_filenames.txt"),
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

    def start(self, program: str, *options: str, root: Path = ROOT) -> Program:
        """`python -m program options`, its log in a file."""
        log = self.folder / f"{len(self.programs):02}-{program.replace(' ', '-')}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", *program.split(), *options],
                cwd=self.folder,
                env={**self._environment, "PYTHONPATH": str(root)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.programs.append(Program(process, log))
        return self.programs[-1]

    def publisher(self, *options: str) -> Program:
        """A publisher that looks often, for which a file is complete at once (they are dropped by a rename)."""
        return self.start("publisher", "--interval", "200ms", "--settle", "0", *options)

    def worker(self, *options: str) -> Program:
        """A worker of one scoring process that looks at the aliases often."""
        return self.start("worker", "--processes", "1", "--registry-poll-seconds", "0.2", *options)

    def ready(self, *workers: Program) -> None:
        for worker in workers:
            worker.wait_for_log("worker ready", 180.0)

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

    def next_run(self) -> None:
        """One pass of a publisher and the start of a worker, as after any end: what cleans up after the dead."""
        publisher, worker = self.start("publisher", "--once", "--settle", "0"), self.worker("--until-idle", "0")
        assert publisher.process.wait(180) == 0, publisher.log.read_text()
        assert worker.process.wait(180) == 0, worker.log.read_text()

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
