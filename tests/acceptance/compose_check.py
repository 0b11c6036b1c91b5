"""`make compose-check`: compose.yaml really brought up, a worker killed, the queue lost, every file's receipt awaited.

Without Grafana, and with stand-ins for the images of others: no registry is asked.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.acceptance.checked import CheckFailed, checked, expect, tell, until
from tests.acceptance.compose import Compose, services
from tests.acceptance.dropped import DroppedFiles, sample
from tests.acceptance.engine import Engine, EngineFailed, engine
from tests.acceptance.images import build
from tests.acceptance.stand_ins import build_stand_ins, need_emulators
from transport.open import open_bucket

LEFT_OUT = {"grafana"}
BUCKET = "understudy"
WORKERS = 3
FILES, ROWS = 40, 30_000
UP_SECONDS, READY_SECONDS, SCORE_SECONDS = 1800.0, 600.0, 600.0  # of patience: a machine may be busy
OUTPUT_OF_OTHERS = 10_000  # characters of the programs' logs that a failure shows


def check(folder: Path) -> None:
    need_emulators()  # before the images, which take minutes
    with engine(folder) as docker:
        built = build(docker, folder, ["worker", "publisher", "models"])
        ours = {one.target: one.image for one in built}
        images = dict(build_stand_ins(docker, built[0].base, folder))
        images |= {name: ours[target] for name, target in services().items() if target}
        compose = Compose(docker, folder, images)
        try:
            _run(docker, compose, [name for name in services() if name not in LEFT_OUT])
        except (CheckFailed, EngineFailed) as error:
            raise CheckFailed(f"{error}\n{compose.logs()[-OUTPUT_OF_OTHERS:]}") from None
        finally:
            compose.down()


def _run(docker: Engine, compose: Compose, chosen: list[str]) -> None:
    began = time.monotonic()
    compose.up(chosen, WORKERS, UP_SECONDS)
    took = time.monotonic() - began
    workers = compose.containers("worker")
    expect(len(workers) == WORKERS, f"{len(workers)} workers run, not {WORKERS}")
    tell(f"up, with both models trained, after {took:.0f} s: {', '.join(chosen)} ({WORKERS} workers)")
    ready = ("python", "-m", "edge.probe", "--url", "http://127.0.0.1:9464/readyz")
    for worker in workers:
        until(
            lambda worker=worker: docker.attempt("exec", worker, *ready).returncode == 0,  # type: ignore[misc]
            READY_SECONDS,
            lambda: "a worker is ready",
        )

    os.environ["STORAGE_EMULATOR_HOST"] = f"http://127.0.0.1:{compose.ports['STORAGE_PORT']}"
    from google.cloud.storage import Client

    uploads = Client(project=BUCKET).bucket(BUCKET)
    with closing(open_bucket(f"gs://{BUCKET}")) as bucket:
        dropped_files = DroppedFiles(bucket)
        contents = {f"flights-{number:02}.csv": one for number, one in enumerate(sample(FILES, ROWS, seed=8))}
        names = list(contents)

        def upload(chosen: Sequence[str]) -> None:
            for name in chosen:
                uploads.blob(name).upload_from_string(contents[name], content_type="text/csv")
            dropped_files.dropped({name: contents[name] for name in chosen})

        # Half of them before the kill, and half after it, however quick the workers are
        upload(names[: FILES // 2])
        until(lambda: len(dropped_files.without_receipt) < FILES // 2, SCORE_SECONDS, lambda: "a file scored")
        docker.run("kill", workers[0])
        upload(names[FILES // 2 :])
        left = len(dropped_files.without_receipt)
        expect(left > 0, "everything was scored before the queue was lost: that shows nothing")
        tell(f"one of {WORKERS} workers killed in the middle of {FILES} files, {left} to go")
        _lose_the_queue(docker, compose)
        tell(f"the others have scored these after {dropped_files.await_all(SCORE_SECONDS):.1f} s")
        dropped_files.expect_nothing_lost()
        expect(len(dropped_files.workers()) > 1, f"only {dropped_files.workers()} scored anything")
    scraped, _ = until(
        lambda: programs_scraped(compose.ports["PROMETHEUS_PORT"]), READY_SECONDS, lambda: "two workers scraped"
    )
    tell(f"{FILES} files, {FILES} receipts, a prediction for each of their rows; Prometheus scrapes {scraped} programs")


def _lose_the_queue(docker: Engine, compose: Compose) -> None:
    """Restarts the Pub/Sub emulator, which goes on sending to a worker that was killed; it forgets all that it held.

    Then, as docs/images.md says: topics are provisioned again, and a publisher that starts sends what has no receipt.
    """
    docker.run("restart", *compose.containers("pubsub"))
    compose.run_once("provision", READY_SECONDS)
    docker.run("restart", *compose.containers("publisher"))
    tell("the emulator restarted without its messages, topics provisioned, the publisher restarted")


def programs_scraped(port: int) -> int:
    """How many programs of ours Prometheus sees, once two workers are among them."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/targets?state=active", timeout=5) as answer:
            targets = json.load(answer)["data"]["activeTargets"]
    except OSError:  # it has not started, or takes its time
        return 0
    up = [target["labels"]["job"] for target in targets if target["health"] == "up"]
    return len(up) if up.count("worker") >= WORKERS - 1 else 0


if __name__ == "__main__":
    sys.exit(checked("make compose-check", check))
