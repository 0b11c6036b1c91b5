"""Who scores the same files in turn: the worker, a plain loop of its steps, and a naive loop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

from ledger.commit import read_receipt
from ledger.names import Key
from models.airline.schema import FEATURE_COLUMNS, ID_COLUMN
from models.registry import PRODUCTION, STAGING, FetchedVersion
from models.scoring.scorer import Scorer
from transport.event import Generation, ObjectEvent
from transport.folder import FolderBucket
from transport.local_queue import LocalQueue
from worker import write
from worker.predict import Stopwatch, predict

ROOT = Path(__file__).resolve().parent.parent


class RunningWorker:
    """A real worker on a folder and a local queue; `score` publishes the files and waits for their last ack."""

    def __init__(self, folder: Path, processor: int | None) -> None:
        self._folder = folder
        self._processor = processor
        self._bucket = FolderBucket(str(folder / "bucket"))
        self._queue = LocalQueue(str(folder / "queue.db"))
        self._rescore = -1  # of what was scored last
        self.timings: list[dict[str, float]] = []

    def __enter__(self) -> RunningWorker:
        environment = {
            "BUCKET": str(self._folder / "bucket"),
            "QUEUE": str(self._folder / "queue.db"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{self._folder / 'mlflow.db'}",
            "MODEL_CACHE": str(self._folder / "cache"),
            "FILENAMES_LOG": "",
            "REGISTRY_POLL_SECONDS": "3600",
        }
        pinned = ["taskset", "-c", str(self._processor)] if self._processor is not None else []
        self._log = (self._folder / "worker.log").open("wb")
        self._process = subprocess.Popen(
            [*pinned, sys.executable, "-m", "worker", "--processes", "1"],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=self._log,
            stderr=self._log,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        self._log.close()

    def score(self, files: list[Path]) -> None:
        """Every call after the first is a re-scoring of its own: the same files, anew."""
        self._rescore += 1
        keys = []
        events = []
        for path in files:
            target = Path(self._bucket.url) / path.name
            if not target.exists():
                target.write_bytes(path.read_bytes())
            info = self._bucket.stat(path.name)
            assert info is not None
            generation = Generation(info.generation, self._rescore)
            keys.append(Key(path.name, generation))
            events.append(ObjectEvent(self._bucket.name, path.name, generation, "2026-01-01T00:00:00Z", info.size))
        self._queue.publish(event.to_message() for event in events)
        while True:
            backlog = self._queue.backlog()
            if not backlog.waiting and not backlog.leased:
                break
            if self._process.poll() is not None:
                raise RuntimeError((self._folder / "worker.log").read_text()[-2000:])
            time.sleep(0.005)
        for key in keys:
            receipt = read_receipt(self._bucket, key)
            assert receipt is not None
            assert receipt.status.value == "scored", receipt
            assert self._bucket.stat(key.comparison) is not None
            self.timings.append(dict(receipt.timings))


class PlainLoop:
    """The worker's own steps, one after the other."""

    def __init__(self, folder: Path, versions: dict[str, FetchedVersion]) -> None:
        self._folder = folder
        folder.mkdir()
        self._scorers = {alias: Scorer(v.graph.read_bytes(), v.spec) for alias, v in versions.items()}
        for scorer in self._scorers.values():
            scorer.prepare()
        self.watches: list[Stopwatch] = []

    def score(self, files: list[Path]) -> None:
        for path in files:
            for alias, scorer in self._scorers.items():
                watch = Stopwatch()
                with path.open("rb") as stream, (self._folder / f"{alias}_{path.name}").open("wb") as out:
                    out.write(write.header(scorer.spec))
                    for part in predict(stream, scorer, watch):
                        with watch.step("write"):
                            out.write(
                                write.rows(
                                    scorer.spec,
                                    part.first_row,
                                    part.ids,
                                    part.labels,
                                    part.probabilities,
                                    part.error_texts,
                                )
                            )
                if alias == PRODUCTION:
                    self.watches.append(watch)


class NaiveLoop:
    """What a notebook does, with the models loaded once."""

    def __init__(self, folder: Path, estimators: dict[str, Any]) -> None:
        self._folder = folder
        folder.mkdir()
        self._forest = estimators[PRODUCTION]
        self._network = estimators[STAGING]

    def score(self, files: list[Path]) -> None:
        for path in files:
            table = pd.read_csv(path)
            rows = table[list(FEATURE_COLUMNS)]
            forest = self._forest.predict_proba(rows)[:, 1]
            features = self._network.columns.transform(rows).astype("float32")
            network = self._network.keras_model.predict(features, verbose=0)[:, 0]
            for name, probability in (("forest", forest), ("network", network)):
                classes = self._forest.classes_[(probability > 0.5).astype(int)]
                out = pd.DataFrame({"id": table[ID_COLUMN], "prediction": classes, "probability": probability})
                out.to_csv(self._folder / f"{name}_{path.name}", index=False)
