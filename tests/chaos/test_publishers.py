"""Publishers that are killed, late, or two at once, and a queue that is lost: still every file is scored once."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.waiting import wait_for
from ledger.receipt import Status
from tests.chaos.understudy import STEADY, Running, surveys, undisturbed
from transport.queues.sqlite.queue import LocalQueue

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


@pytest.mark.slow
def test_what_a_lost_queue_held_is_published_again(running: Running, model_cache: Path) -> None:
    # given files that were published, and a queue that is deleted while nothing runs
    files = surveys(6, 100)
    for name, content in files.items():
        running.drop(name, content)
    assert running.start("publisher", "--once", "--settle", "0").status() == 0
    assert running.backlog() == len(files)
    running.queue.close()
    remove_queue(running)

    # when publisher and worker start
    publisher = running.start("publisher", "--once", "--settle", "0")
    assert publisher.status() == 0
    worker = running.worker("--until-idle", "0")

    # then every file is scored
    assert worker.status() == 0
    assert len(publisher.records("published")) == len(files)
    check_all_scored(running, model_cache, files)


@pytest.mark.slow
def test_a_queue_deleted_under_idle_programs_is_made_anew(running: Running, model_cache: Path) -> None:
    # given a publisher and a worker that have nothing to do
    files = surveys(11, 100)
    names = list(files)
    publisher, workers = running.publisher(), [running.worker()]
    running.ready(*workers)
    running.drop(names[0], files[names[0]])
    running.wait_until_done(1)

    # when somebody deletes the queue (the file alone, or with its log), and one more worker is started
    for pattern, done in (("queue.db", 6), ("queue.db*", 11)):
        before = [(program, len(program.records(GONE_OVER))) for program in (publisher, *workers)]
        running.queue.close()
        remove_queue(running, pattern)
        for program, times in before:
            wait_for(lambda: len(program.records(GONE_OVER)) > times, f"{program.log} going over")  # noqa: B023
        running.queue = LocalQueue(running.queue.url, policy=STEADY)
        workers.append(running.worker())
        running.ready(workers[-1])
        for name in names[done - 5 : done]:
            running.drop(name, files[name])
        running.wait_until_done(done)

        # then all use the same new file: the publisher's messages come to every worker
        check_all_scored(running, model_cache, {name: files[name] for name in names[:done]})
        already = [len(worker.records("file taken")) for worker in workers]

        messages = [running.event(name).to_message() for name in names[:done] for _ in range(20)]

        def each_takes_some() -> bool:
            running.queue.publish(messages)  # noqa: B023
            wait_for(lambda: running.backlog() == 0, "an empty queue")
            return all(len(w.records("file taken")) > n for w, n in zip(workers, already, strict=True))  # noqa: B023

        wait_for(each_takes_some, "every worker taking files")
    assert [program.end() for program in (*workers, publisher)] == [0, 0, 0, 0]
    assert running.left_behind() == []
