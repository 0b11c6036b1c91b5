"""Fixtures of the contract suites: every adapter in turn."""

from tests.contract.buckets import bucket, place, storage_server

__all__ = ["bucket", "place", "storage_server"]
