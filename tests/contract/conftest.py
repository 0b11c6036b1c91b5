"""Fixtures of the contract suites: every adapter in turn."""

from tests.contract.buckets import bucket, place, storage_server
from tests.contract.queues import pubsub_emulator, queue, queues

__all__ = ["bucket", "place", "pubsub_emulator", "queue", "queues", "storage_server"]
