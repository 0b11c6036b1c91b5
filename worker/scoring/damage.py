"""A file that cannot be read may only have arrived damaged: that shows at its end, where the bucket has a checksum."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from models.scoring.table.faults import Unreadable
from transport.bucket import Bucket

READ_ON_BYTES = 64 * 2**20
BLOCK_BYTES = 2**20


@contextmanager
def checked_to_the_end(bucket: Bucket, stored: BinaryIO) -> Iterator[None]:
    """Where the block finds a file of `bucket` Unreadable, reads on for READ_ON_BYTES at most.

    So DamagedRead is raised in the place of Unreadable where the bytes are not those that are stored. A bucket without
    checksums has nothing more to say, and is not read on.
    """
    try:
        yield
    except Unreadable:
        left = READ_ON_BYTES if bucket.checks_reads else 0
        while left > 0 and (block := stored.read(BLOCK_BYTES)):
            left -= len(block)
        raise
