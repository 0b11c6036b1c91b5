"""Fixtures of the contract suites: every adapter in turn."""

from tests.contract.buckets import bucket, place
from tests.contract.queues import queue, queues

__all__ = ["bucket", "place", "queue", "queues"]
