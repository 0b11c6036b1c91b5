"""A URL picks the adapter. Adapters are imported only when they are used: Google's clients are heavy."""

from __future__ import annotations

from pathlib import Path

from transport.bucket import Bucket
from transport.queue import Queue


def open_bucket(url: str) -> Bucket:
    """`gs://name` is a bucket of Cloud Storage; anything else is a folder, made if it does not exist."""
    if url.startswith("gs://"):
        from transport.buckets.gcs.bucket import GcsBucket

        return GcsBucket(url)
    from transport.buckets.folder.bucket import FolderBucket

    return FolderBucket(url)


def open_queue(url: str) -> Queue:
    """`pubsub://project/topic` is a topic of Pub/Sub with its subscription; anything else a SQLite file."""
    if url.startswith("pubsub://"):
        from transport.queues.pubsub.queue import PubSubQueue

        return PubSubQueue(url)
    from transport.queues.sqlite.queue import LocalQueue

    return LocalQueue(url)


def open_dead_letters(url: str) -> Queue:
    """The dead letters of the queue at `url`: pulled, acked and counted like any other queue."""
    if url.startswith("pubsub://"):
        from transport.queues.pubsub.queue import PubSubQueue

        return PubSubQueue(url, dead_letters=True)
    from transport.queues.sqlite.queue import LocalQueue

    return LocalQueue(url, dead_letters=True)


def missing(url: str) -> Path | None:
    """The folder or file that `url` names where it does not exist; None where it does, or names a service.

    For what only looks, which must not make it.
    """
    return None if "://" in url or Path(url).exists() else Path(url).absolute()
