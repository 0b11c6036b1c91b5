"""A file replaced under the workers' hands: the newest content's output stands, and each generation has a receipt."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from deploy.waiting import wait_for
from ledger.names import Key, output_name
from ledger.receipt import Status
from tests.chaos.processes import send
from tests.chaos.understudy import Running, big, surveys, undisturbed
from transport.event import Generation

ENDED = {Status.SCORED, Status.SUPERSEDED}


@pytest.mark.slow
def test_a_file_replaced_while_it_is_queued(running: Running, model_cache: Path) -> None:
    # given files that are published while no worker runs, and replaced and published again
    old, new = surveys(6, 50), dict(zip(surveys(6, 50), surveys(6, 60).values(), strict=True))
    publisher = running.publisher()
    generations = {}
    for contents in (old, new):
        for name, content in contents.items():
            generation = running.drop(name, content)
            publisher.wait_for_log("published", file=name, generation=str(generation))
            generations.setdefault(name, []).append(generation)

    # when a worker comes
    worker = running.worker("--until-idle", "0")

    # then the outputs are the new contents', and both generations of each have a receipt
    assert worker.status() == 0
    assert {name: running.output(name) for name in new} == undisturbed(running.registry, model_cache, "1", new)
    for name, (first, second) in generations.items():
        receipts = running.receipts(name)
        assert [(r.key, r.status) for r in receipts] == [
            (Key(name, first), Status.SUPERSEDED),
            (Key(name, second), Status.SCORED),
        ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "in_shadow",
    [pytest.param(False, id="by production"), pytest.param(True, id="by its shadow", marks=pytest.mark.nightly)],
)
def test_a_file_replaced_while_it_is_being_scored(running: Running, model_cache: Path, in_shadow: bool) -> None:
    # given a scoring process that was stopped in the middle of a file
    name, path = "big.csv", running.root / "big.csv"
    # in many blocks: once a file is read to its end, it no longer matters that it is replaced
    publisher, worker = running.publisher(), running.worker("--block-bytes", "65536")
    running.ready_with_shadow(worker)
    old, new = big(), big(seed=8)
    first = running.drop(name, old)
    receipt = running.root / Key(name, first).receipt
    scorer = wait_for(
        lambda: worker.scorer_with(path) if receipt.exists() == in_shadow else None,
        "a scoring process that reads the file",
        every=0.001,
    )
    send(scorer, signal.SIGSTOP)
    assert worker.scorer_with(path) == scorer

    # when the file is replaced, and the process goes on once the new content's event is out
    second = running.drop(name, new)
    publisher.wait_for_log("published", file=name, generation=str(second))
    send(scorer, signal.SIGCONT)

    # then the output in the end is the new content's; both generations have a receipt
    running.wait_until_done(2)
    assert worker.end() == 0
    receipts = running.receipts(name)
    assert [r.key.generation for r in receipts] == [first, second]
    assert [r.status for r in receipts] == [Status.SCORED if in_shadow else Status.SUPERSEDED, Status.SCORED]
    assert {name: running.output(name)} == undisturbed(running.registry, model_cache, "1", {name: new})
    shadow = running.bucket.stat(Key(name, second).shadow)
    assert shadow is not None
    assert shadow.metadata["source-generation"] == str(second)


@pytest.mark.slow
def test_a_file_replaced_again_and_again_by_contents_of_all_sizes(running: Running, model_cache: Path) -> None:
    # given two workers and a publisher
    publisher, workers = running.publisher(), [running.worker(), running.worker()]
    running.ready(*workers)
    contents = [*surveys(8, 30).values(), *surveys(8, 3000).values()]

    # when a file is replaced whenever its last content was published, while others are scored
    for content in contents:
        generation = running.drop("again.csv", content)
        publisher.wait_for_log("published", file="again.csv", generation=str(generation))

    # then each generation has one receipt, and the output is the last one's
    running.wait_until_done(len(contents))
    assert [worker.end() for worker in workers] == [0, 0]
    receipts = running.receipts("again.csv")
    assert len(receipts) == len(contents)
    assert {r.status for r in receipts} <= ENDED
    assert receipts[-1].status is Status.SCORED
    assert receipts[-1].key.generation == generation == Generation((running.root / "again.csv").stat().st_ctime_ns)
    [expected] = undisturbed(running.registry, model_cache, "1", {"again.csv": contents[-1]}).values()
    assert (running.root / output_name("again.csv")).read_bytes() == expected
    running.next_pass()
    assert running.backlog() == 0
    assert running.left_behind() == []
