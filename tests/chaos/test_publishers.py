"""Publishers that are killed, late, or two at once, and a queue that is lost: still every file is scored once."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.waiting import wait_for
from ledger.receipt import Status
from tests.chaos.understudy import QUICK, Running, surveys, undisturbed
from transport.local_queue import LocalQueue

GONE_OVER = "the queue's file was removed or replaced; going on with the one that is there now"


def remove_queue(running: Running, pattern: str = "queue.db*") -> None:
    for path in running.folder.glob(pattern):
        path.unlink()


def check_all_scored(running: Running, model_cache: Path, files: dict[str, bytes]) -> None:
    assert [(r.source.name, r.status) for r in running.receipts()] == [(name, Status.SCORED) for name in sorted(files)]
    assert {name: running.output(name) for name in files} == undisturbed(running.registry, model_cache, "1", files)


@pytest.mark.slow
def test_two_publishers_one_killed_and_one_late_do_no_harm(running: Running, model_cache: Path) -> None:
    # given two publishers at once, and a worker; files are dropped
    files = surveys(20, 100)
    names = list(files)
    first, second, worker = running.publisher(), running.publisher(), running.worker()
    running.ready(worker)
    for name in names[:10]:
        running.drop(name, files[name])
    wait_for(lambda: running.count_receipts() >= 3, "3 receipts")

    # when both are killed, more files come meanwhile, and another publisher comes late
    for publisher in (first, second):
        publisher.kill()
        publisher.process.wait()
    for name in names[10:]:
        running.drop(name, files[name])
    late = running.publisher()
    running.wait_until_done(len(files))

    # then every file is scored once
    assert (worker.end(), late.end()) == (0, 0)
    check_all_scored(running, model_cache, files)
    assert running.left_behind() == []


def test_what_a_lost_queue_held_is_published_again(running: Running, model_cache: Path) -> None:
    # given files that were published, and a queue that is deleted while nothing runs
    files = surveys(6, 100)
    for name, content in files.items():
        running.drop(name, content)
    assert running.start("publisher", "--once", "--settle", "0").process.wait(60) == 0
    assert running.backlog() == len(files)
    running.queue.close()
    remove_queue(running)

    # when publisher and worker start
    publisher = running.start("publisher", "--once", "--settle", "0")
    assert publisher.process.wait(60) == 0
    worker = running.worker("--until-idle", "0")

    # then every file is scored
    assert worker.process.wait(60) == 0
    assert len(publisher.records("published")) == len(files)
    check_all_scored(running, model_cache, files)


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["queue.db", "queue.db*"], ids=["the file alone", "with its log"])
def test_a_queue_deleted_under_idle_programs_is_made_anew(running: Running, model_cache: Path, pattern: str) -> None:
    # given a publisher and a worker that have nothing to do
    files = surveys(6, 100)
    names = list(files)
    publisher, worker = running.publisher(), running.worker()
    running.ready(worker)
    running.drop(names[0], files[names[0]])
    running.wait_until_done(1)
    worker.wait_for_log("shadow compared")

    # when somebody deletes the queue, and a second worker is started
    running.queue.close()
    remove_queue(running, pattern)
    worker.wait_for_log(GONE_OVER)
    publisher.wait_for_log(GONE_OVER)
    running.queue = LocalQueue(running.queue.url, policy=QUICK)
    late = running.worker()
    running.ready(late)
    for name in names[1:]:
        running.drop(name, files[name])
    running.wait_until_done(len(files))

    # then all use the same new file: the publisher's messages come to either worker
    check_all_scored(running, model_cache, files)

    def late_takes_some() -> bool:
        running.queue.publish([running.event(name).to_message() for name in names for _ in range(20)])
        wait_for(lambda: running.backlog() == 0, "an empty queue")
        return bool(late.records("file taken"))

    wait_for(late_takes_some, "the second worker taking files")
    assert (worker.end(), late.end(), publisher.end()) == (0, 0, 0)
    assert running.left_behind() == []
