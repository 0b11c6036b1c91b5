from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Few rows, for which threads are only waiting on each other."""
    with threadpool_limits(1):
        yield
