"""What the tests of pools have in common."""

from __future__ import annotations

import threading

from tests.worker_fixtures import Loaded

PATIENCE = 60.0


def load(pool, version):
    return pool.load(version, threading.Event())


def loaded(pool):
    """The versions that the pool's one process has loaded, in the order in which they were asked for."""
    return pool.run(Loaded(), PATIENCE)
