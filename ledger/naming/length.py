"""How long an input's name may be: the longest name that is made of it must still be one."""

from __future__ import annotations

from functools import cache

from ledger.names import Key
from transport.buckets.folder.names import MAX_PART
from transport.event import MAX_GENERATION, MAX_NAME_BYTES, Generation

_LONGEST = Generation(MAX_GENERATION, MAX_GENERATION)
_SAMPLE = "x.csv.gz"  # of the kind that stands whole in every name that is made of it


@cache
def most_bytes(bucket_url: str) -> int:
    """Bytes that an input's name may have: the whole name on Cloud Storage, in a folder what follows the last slash."""
    made = Key(_SAMPLE, _LONGEST).made
    if "://" in bucket_url:
        return MAX_NAME_BYTES - max(len(name) - len(_SAMPLE) for name in made)
    return MAX_PART - max(len(name.rpartition("/")[2]) - len(_SAMPLE) for name in made)


def why_too_long(name: str, bucket_url: str) -> str | None:
    """Why no receipt could carry this name; None where it is short enough. In a folder the whole path counts too."""
    whole = len(name.encode())
    counted = whole if "://" in bucket_url else len(name.rpartition("/")[2].encode())
    for length, most in ((counted, most_bytes(bucket_url)), (whole, most_bytes("gs://"))):
        if length > most:
            return f"its name has {length} bytes, and of more than {most} no name of a receipt can be made"
    return None
