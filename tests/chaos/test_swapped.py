"""The aliases move while files are scored: no file fails, and each is of one version throughout."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from deploy.waiting import wait_for
from ledger.receipt import Status
from models.registry.aliases import Aliases
from models.registry.client import Registry
from models.registry.spec import GRAPH_FILE, METADATA_KEY, SHA256_TAG, SPEC_FILE
from tests.chaos.understudy import MODEL, Program, Running, big, surveys, undisturbed


def swap(running: Running) -> None:
    Aliases(Registry(running.registry, MODEL), "tests").swap("chaos", datetime.now(UTC))


def swaps_seen(worker: Program) -> int:
    return len(worker.records("version in force", alias="production"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "rows", "swaps"), [(24, 400, 2), pytest.param(48, 400, 5, marks=pytest.mark.nightly)]
)
def test_a_swap_while_files_run_leaves_each_file_to_one_version(
    running: Running, model_cache: Path, count: int, rows: int, swaps: int
) -> None:
    # given what each version gives for each file, undisturbed, and two workers at work
    files = surveys(count, rows)
    by_version = {v: undisturbed(running.registry, model_cache, v, files) for v in ("1", "2")}
    assert not any(by_version["1"][name] == by_version["2"][name] for name in files)
    publisher, workers = running.publisher(), [running.worker(), running.worker()]
    running.ready(*workers)
    names, size = list(files), -(-count // (swaps + 1))
    shares = [names[start : start + size] for start in range(0, count, size)]

    # when the aliases are swapped while each share of the files runs (once by the command, else in a moment)
    for turn, share in enumerate(shares):
        for name in share:
            running.drop(name, files[name])
        if turn == swaps:
            break
        wait_for(lambda: running.count_receipts() > turn * len(shares[0]), "a receipt of this share")  # noqa: B023
        if turn == 0 and swaps > 2:
            command = running.start("models swap", "--why", "chaos")
            assert command.status() == 0, command.log.read_text()
        else:
            swap(running)
        wait_for(lambda: all(swaps_seen(worker) > turn + 1 for worker in workers), "the swap in force")  # noqa: B023
    running.wait_until_done(count)

    # then none failed, and each output is the whole work of the version that its receipt names
    assert [worker.end() for worker in workers] == [0, 0]
    assert publisher.end() == 0
    assert not any(worker.records("attempt failed") or worker.records("version refused") for worker in workers)
    receipts = {receipt.source.name: receipt for receipt in running.receipts()}
    assert {name: receipt.status for name, receipt in receipts.items()} == dict.fromkeys(files, Status.SCORED)
    for name, receipt in receipts.items():
        assert receipt.model is not None
        assert running.output(name) == by_version[receipt.model.version][name], name
        output = running.bucket.stat(receipt.output or "")
        assert output is not None
        assert output.metadata["model-version"] == receipt.model.version
    # and each swap took effect: a file of each share was done before the next swap
    assert {receipt.model.version for receipt in receipts.values()} == {"1", "2"}
    last = {receipts[name].model.version for name in shares[-1]}
    assert last == {"1" if swaps % 2 == 0 else "2"}


@pytest.mark.slow
def test_a_swap_under_one_file_takes_effect_with_the_next(running: Running, model_cache: Path) -> None:
    # given a big file that is being scored with version 1
    files = {"big.csv": big(40_000), "next.csv": surveys(6, 50)["part 000.csv"]}
    publisher, worker = running.publisher(), running.worker("--shadow-fraction", "0")
    running.ready(worker)
    running.drop("big.csv", files["big.csv"])
    wait_for(lambda: worker.scorer_with(running.root / "big.csv"), "a scoring process that reads", every=0.001)

    # when the aliases are swapped under it, and another file comes when the swap is in force
    swap(running)
    worker.wait_for_log("version in force", alias="production", version="2")
    running.drop("next.csv", files["next.csv"])
    running.wait_until_done(2)

    # then the first is version 1's from the first row to the last, the second version 2's
    assert (worker.end(), publisher.end()) == (0, 0)
    for name, version in (("big.csv", "1"), ("next.csv", "2")):
        [receipt] = running.receipts(name)
        assert receipt.model is not None
        assert receipt.model.version == version
        assert {name: running.output(name)} == undisturbed(running.registry, model_cache, version, {name: files[name]})


def register_one_that_scores_its_example_otherwise(running: Running, folder: Path, cache: Path) -> str:
    """Version 2 once more, sound in every other way, with another answer recorded for its example."""
    registry = Registry(running.registry, MODEL)
    good = registry.fetch("2", cache).graph.parent
    document = yaml.safe_load((good / SPEC_FILE).read_bytes())
    example = document["metadata"][METADATA_KEY]["example"]
    example["probabilities"] = [row[::-1] for row in example["probabilities"]]
    files = {SPEC_FILE: yaml.safe_dump(document).encode(), GRAPH_FILE: (good / GRAPH_FILE).read_bytes()}
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    tags = {SHA256_TAG + name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    made = registry.client.create_model_version(MODEL, source=folder.as_uri(), tags=tags)
    return str(made.version)


@pytest.mark.slow
def test_a_version_that_fails_its_own_example_never_serves(running: Running, model_cache: Path) -> None:
    # given a worker, and a version that does not score its example as recorded
    files = surveys(6, 50)
    worker = running.worker()
    running.ready(worker)
    version = register_one_that_scores_its_example_otherwise(running, running.folder / "unfit", model_cache)

    # when production is given to it, and files come once the worker has decided
    client = Registry(running.registry, MODEL).client
    client.set_registered_model_alias(MODEL, "production", version)
    wait_for(
        lambda: any(worker.records(told, version=version) for told in ("version refused", "version in force")),
        "a decision on the new version",
    )
    for name, content in files.items():
        running.drop(name, content)
    running.queue.publish([running.event(name).to_message() for name in files])
    running.wait_until_done(len(files))

    # then it is reported, and the one before goes on
    [refused] = worker.records("version refused", version=version)
    assert "version 1 goes on serving" in refused["consequence"]
    assert worker.end() == 0
    assert {receipt.model.version for receipt in running.receipts() if receipt.model} == {"1"}
    assert {name: running.output(name) for name in files} == undisturbed(running.registry, model_cache, "1", files)
