"""`kill -9` anywhere: what was killed is done by somebody else, once, and nothing stays behind."""

from __future__ import annotations

import random
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.waiting import NotInTime, wait_for
from ledger.names import CLAIMS, COMPARISONS, RECEIPTS, parse_key
from ledger.receipt import Status
from tests.chaos.processes import entries, open_files, send
from tests.chaos.understudy import Program, Running, big, surveys, undisturbed
from transport.queue import Policy

HARDY = Policy(lease=3.0, max_delivery_attempts=50, min_backoff=0.05, max_backoff=0.5)
"""More attempts than there are kills, so that none can end in a dead letter by bad luck alone."""


def something_in(running: Running, folder: str) -> bool:
    return bool(entries(str(running.root / folder)))


MOMENTS = {
    "at once": lambda running, worker, log: True,
    "it takes a file": lambda running, worker, log: worker.log.stat().st_size > log,
    "a file is being written": lambda running, worker, log: something_in(running, ".understudy/tmp"),
    "a claim stands": lambda running, worker, log: something_in(running, CLAIMS),
    "its scoring process reads": lambda running, worker, log: bool(reader_of(running, worker)),
}


def reader_of(running: Running, worker: Program) -> int | None:
    for pid in worker.scorers():
        if any(path.startswith(str(running.root)) and path.endswith(".csv") for path in open_files(pid)):
            return pid
    return None


@dataclass(frozen=True)
class Kill:
    """Of a worker's parent, or of a scoring process, at one of MOMENTS; or, without one, as soon as it has started."""

    parent: bool
    moment: str | None


KILLS = (*(Kill(parent, moment) for parent in (True, False) for moment in MOMENTS), Kill(True, None), Kill(False, None))


def kill_one_after_the_other(running: Running, workers: list[Program], files: dict[str, bytes], seed: int) -> list[str]:
    """Drops the files in shares and carries out one of KILLS under each; `seed` chooses their order and the worker.

    Says which.
    """
    choose = random.Random(seed)
    told = []
    names, size = list(files), len(files) // len(KILLS)
    for number, kill in enumerate(choose.sample(KILLS, len(KILLS))):
        last = number + 1 == len(KILLS)
        for name in names[number * size : None if last else (number + 1) * size]:
            running.drop(name, files[name])
        progress = number * size + choose.randrange(size // 2)
        place = choose.randrange(len(workers))
        wait_for(lambda: running.count_receipts() >= progress, f"{progress} receipts")  # noqa: B023
        victim, moment = workers[place], kill.moment
        if moment:
            victim.wait_for_log("worker ready")
            log = victim.log.stat().st_size
            try:
                wait_for(lambda: MOMENTS[moment](running, victim, log), moment, 2.0, every=0.0005)  # noqa: B023
            except NotInTime:  # the other worker may have taken all that there was
                moment = f"2 s without {moment}"
        if kill.parent:
            victim.kill()
            victim.process.wait()
            workers[place] = running.worker()
        else:
            scorers = wait_for(victim.scorers, "a scoring process")
            send(reader_of(running, victim) or choose.choice(scorers), signal.SIGKILL)
        told.append(
            f"{progress}: {'parent' if kill.parent else 'scoring process'}, {moment or 'as soon as it is there'}"
        )
    return told


def check_that_nothing_happened(
    running: Running, model_cache: Path, files: dict[str, bytes], reference: dict[str, bytes]
) -> None:
    """One scored receipt and the reference's output per file; nothing left after the next run."""
    receipts = running.receipts()
    assert [(r.source.name, r.status) for r in receipts] == [(name, Status.SCORED) for name in sorted(files)]
    assert {name for name in files if running.output(name) != reference[name]} == set()
    compared = {parse_key(info.name, COMPARISONS) for info in running.bucket.objects(COMPARISONS)}
    assert compared <= {receipt.key for receipt in receipts}
    assert compared
    not_compared = {receipt.key.name for receipt in receipts if receipt.key not in compared}
    assert not_compared <= set().union(*map(taken_without_staging, running.programs))
    running.next_run()
    assert running.left_behind() == []
    assert [r.to_json() for r in running.receipts()] == [r.to_json() for r in receipts]
    assert len(list((running.root / RECEIPTS).iterdir())) == len(files)


def taken_without_staging(program: Program) -> set[str]:
    """Files that a worker took before it had its staging version, as it may where that is slow to come."""
    taken = set()
    for record in program.records():
        if record["message"] == "version in force" and record["alias"] == "staging":
            break
        if record["message"] == "file taken":
            taken.add(record["file"])
    return taken


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_any_moment_nothing_is_lost_and_nothing_differs(
    tmp_path: Path, running: Running, model_cache: Path
) -> None:
    # given what an undisturbed run gives, and two workers
    files = surveys(10 * len(KILLS), 400)
    reference = undisturbed(running.registry, model_cache, "1", files)
    running.set_policy(HARDY)
    publisher, workers = running.publisher(), [running.worker(), running.worker()]
    running.ready(*workers)

    # when files are dropped, and parents and scoring processes are killed meanwhile
    told = kill_one_after_the_other(running, workers, files, seed=300)
    running.wait_until_done(len(files))

    # then all is as if nothing had happened
    assert len(told) == len(KILLS)
    print("\n".join(told))
    running.ready(*workers)  # the one that was started last may not have come to its first line yet
    assert [worker.end() for worker in workers] == [0, 0]
    assert publisher.end() == 0
    check_that_nothing_happened(running, model_cache, files, reference)


def test_a_worker_killed_in_mid_file_costs_one_redelivery(running: Running, model_cache: Path) -> None:
    # given a worker whose parent is killed while its scoring process is in the middle of a file
    files = {"big.csv": big()}
    running.drop("big.csv", files["big.csv"])
    assert running.start("publisher", "--once", "--settle", "0").status() == 0
    worker = running.worker()
    orphan = wait_for(lambda: worker.scorer_with(running.root / "big.csv"), "a scoring process that reads", every=0.001)
    worker.kill()
    worker.process.wait()

    # then its scoring process does not outlive it
    wait_for(lambda: not Path(f"/proc/{orphan}").exists(), "the end of the orphan")

    # and when its lease has run out, another comes, and works until nothing is left
    running.let_leases_run_out()
    running.do_the_rest()

    # then it has done the file, in the second attempt
    [receipt] = running.receipts()
    assert (receipt.status, receipt.attempt) == (Status.SCORED, 2)
    assert {"big.csv": running.output("big.csv")} == undisturbed(running.registry, model_cache, "1", files)
    running.next_pass()
    assert running.backlog() == 0
    assert running.left_behind() == []
