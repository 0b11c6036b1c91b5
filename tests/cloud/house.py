"""The real programs on Google's services: fake-gcs-server, whose notifications go to the Pub/Sub emulator."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from deploy.emulators import Notifications, StorageEmulator
from ledger.names import RECEIPTS, UNUSABLE, parse_key
from ledger.receipt import Outcome
from publisher.commands.dead_lettered import UnusableRecord, unusable_records
from tests.chaos.understudy import ROOT, Program, send
from tests.emulators import StorageServer
from tests.starter import start
from transport.bucket import get, put
from transport.buckets.gcs.bucket import GcsBucket
from transport.event import Generation, Message
from transport.queues.pubsub.names import Names

BUCKET, TOPIC = "survey-files", "flights"  # in a storage server and a project that are the test's own
UPLOADS_AT_ONCE = 4


class House:
    """One bucket, one topic, and programs around them. Use as a context manager: it ends all that it started.

    This process must find the emulators by its own environment (the fixture `house` sees to that).
    """

    def __init__(
        self, folder: Path, registry: str, cache: Path, pubsub_host: str, project: str, storage: StorageEmulator
    ) -> None:
        self.folder, self.registry, self.pubsub_host, self.storage = folder, registry, pubsub_host, storage
        StorageServer(storage.url).make_bucket(BUCKET)
        self.bucket = GcsBucket(f"gs://{BUCKET}")
        self.queue_url = f"pubsub://{project}/{TOPIC}"
        self.names = Names.parse(self.queue_url)
        self.programs: list[Program] = []
        (folder / "temporary").mkdir()
        self.environment = {  # of programs that are started from now on
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(folder / "temporary"),
            "OMP_NUM_THREADS": "1",
            "MLFLOW_TRACKING_URI": registry,
            "UNDERSTUDY_BUCKET": self.bucket.url,
            "UNDERSTUDY_QUEUE": self.queue_url,
            "UNDERSTUDY_MODEL_CACHE": str(cache),
            "UNDERSTUDY_FILENAMES_LOG": str(folder / "new_data_filenames.txt"),
            "PUBSUB_EMULATOR_HOST": pubsub_host,
            "STORAGE_EMULATOR_HOST": storage.url,
        }

    def __enter__(self) -> House:
        return self

    def __exit__(self, *_: object) -> None:
        for program in self.programs:
            for pid in program.family() if program.process.poll() is None else []:
                send(pid, signal.SIGKILL)
            program.process.wait(20)
            print(program.last_words())  # pytest shows it where the test failed
        self.bucket.close()

    def start(self, program: str, *options: str) -> Program:
        """`python -m program options`, its log in a file."""
        log = self.folder / f"{len(self.programs):02}-{program.replace(' ', '-')}.log"
        process = start([*program.split(), *options], folder=self.folder, environment=self.environment, log=log)
        self.programs.append(Program(process, log))
        return self.programs[-1]

    def provision(self, *options: str) -> None:
        """Makes topics and subscriptions with the program that people use."""
        done = self.start("publisher provision", *options)
        assert done.process.wait(180) == 0, done.log.read_text()

    def workers(self, count: int, *options: str) -> list[Program]:
        """Workers of one scoring process each, that are ready, and whose every file from now on has its shadow."""
        started = [self.start("worker", "--processes", "1", *options) for _ in range(count)]
        for worker in started:
            worker.wait_for_log("worker ready", 180)
            worker.wait_for_log("version in force", 180, alias="staging")  # it is not waited for without end
        return started

    def upload(self, files: Mapping[str, bytes]) -> dict[str, Generation]:
        """Uploads files with the storage client, some at once; gives their generations."""

        def one(item: tuple[str, bytes]) -> tuple[str, Generation]:
            return item[0], Generation(put(self.bucket, *item, content_type="text/csv").generation)

        with ThreadPoolExecutor(UPLOADS_AT_ONCE) as threads:
            return dict(threads.map(one, files.items()))

    def read(self, name: str) -> bytes:
        return get(self.bucket, name)

    def count_receipts(self) -> int:
        return sum(1 for _ in self.bucket.objects(RECEIPTS, recursive=False))

    def receipts(self, name: str | None = None) -> list[Outcome]:
        """Every receipt, or those of one file, the earlier generations first."""
        found = []
        for info in self.bucket.objects(RECEIPTS, recursive=False):
            key = parse_key(info.name, RECEIPTS)
            assert key is not None, info.name
            if name in (None, key.name):
                found.append(Outcome.from_json(get(self.bucket, info.name)))
                assert found[-1].key == key
        return sorted(found, key=lambda outcome: outcome.key)

    def unusable(self) -> dict[str, UnusableRecord]:
        """Records of messages that named nothing to score, by the message's id."""
        found = [record for record in unusable_records(self.bucket) if record.record.startswith(UNUSABLE)]
        assert len({record.id for record in found}) == len(found)
        return {record.id: record for record in found}

    def left_behind(self) -> list[str]:
        """Claims and notes that nobody needs any more."""
        return [
            info.name for folder in ("output/.claims/", "output/.failures/") for info in self.bucket.objects(folder)
        ]


class Tap:
    """A further subscription to a topic: the messages about some objects, read beside the workers.

    `wanted` is asked about an object's name. The Pub/Sub emulator (0.8.20) keeps a subscription's filter, and lets
    every message through; Pub/Sub itself does not.
    """

    def __init__(self, topic: str, name: str, wanted: Callable[[str], bool]) -> None:
        self._client = SubscriberClient()
        path = f"{topic.rpartition('/topics/')[0]}/subscriptions/{name}"
        self._client.create_subscription(request={"name": path, "topic": topic, "ack_deadline_seconds": 600})
        self._wanted = wanted
        self._heard: SimpleQueue[Any] = SimpleQueue()
        self._seen: set[str] = set()
        self._stream = self._client.subscribe(path, callback=self._hear)

    def __enter__(self) -> Tap:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.cancel()
        self._stream.exception(timeout=20)
        self._client.close()

    def read(self) -> list[Any]:
        """The messages that came and were not read before, each once, however often it was delivered."""
        found = []
        with suppress(Empty):
            while True:
                message = self._heard.get_nowait()
                if message.message_id not in self._seen:
                    self._seen.add(message.message_id)
                    found.append(message)
        return found

    def _hear(self, message: Any) -> None:
        if self._wanted(message.attributes.get("objectId", "")):
            self._heard.put(message)
        message.ack()


class Raw:
    """Publishes messages as they are, with no event of ours in between. Use as a context manager."""

    def __init__(self, topic: str) -> None:
        self._client, self._topic = PublisherClient(), topic

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop()
        self._client.transport.close()

    def publish(self, messages: Sequence[Message]) -> list[str]:
        """Gives the message ids."""
        futures = [self._client.publish(self._topic, m.data, **m.attributes) for m in messages]
        return [future.result(timeout=60) for future in futures]


def notifications_to(pubsub_host: str, project: str) -> Notifications:
    """Where a house's storage server tells of its objects."""
    return Notifications(pubsub_host, project, TOPIC)
