"""A pool of one process, shared by the tests of a file that each leave it able to work."""

from __future__ import annotations

import pytest

from tests.worker_fixtures import alive
from transport.buckets.folder.bucket import FolderBucket
from worker.processes.pool import Pool


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    return FolderBucket(str(tmp_path_factory.mktemp("bucket")))


@pytest.fixture(scope="module")
def pool(bucket):
    """One process, shared by tests that each leave it able to work."""
    pool = Pool(1, bucket.url, log_level="error")
    yield pool
    pool.kill()
    assert not any(alive(pid) for pid in pool.pids)
