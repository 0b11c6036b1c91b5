"""What the tests of pools have in common."""

from __future__ import annotations

import threading

from tests.worker_fixtures import Loaded

PATIENCE = 60.0


def load(pool, version):
    """Has new processes of the pool serve the version; gives it, tried."""
    tried = pool.prepare(version, threading.Event())
    pool.serve(tried)
    return tried


def loaded(pool):
    """The versions that the pool's one process has loaded, in the order in which they were asked for."""
    return pool.run(Loaded(), PATIENCE)
