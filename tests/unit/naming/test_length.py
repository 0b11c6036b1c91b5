"""The limit on a name's length is that of the longest name made of it, in code and docs alike."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.names import Key, most_bytes, takes, why_no_input
from transport.bucket import get, put
from transport.buckets.folder.bucket import FolderBucket
from transport.buckets.folder.files import MAX_PART
from transport.event import MAX_GENERATION, MAX_NAME_BYTES, Generation, why_bad_name

DOCS = Path(__file__).parents[3] / "docs" / "files.md"
LONGEST = Generation(MAX_GENERATION, MAX_GENERATION)
CLOUD, FOLDER = "gs://bucket", "./bucket"


def of_bytes(count: int, ending: str = ".csv") -> str:
    return "x" * (count - len(ending)) + ending


@given(st.sampled_from([".csv", ".csv.gz", ".CSV", ".csv.csv"]), st.sampled_from([CLOUD, FOLDER]))
def test_of_the_longest_name_every_name_can_be_made_and_of_a_longer_one_not(ending: str, url: str) -> None:
    most = most_bytes(url)

    def fits(name: str) -> bool:
        made = Key(name, LONGEST).made
        if url == CLOUD:
            return max(len(one) for one in made) <= MAX_NAME_BYTES
        return max(len(part) for one in made for part in one.split("/")) <= MAX_PART

    assert fits(of_bytes(most, ending))
    assert not fits(of_bytes(most + 1, ending))
    assert takes(of_bytes(most, ending), "", url)
    assert not takes(of_bytes(most + 1, ending), "", url)


def test_a_folder_holds_every_name_that_is_made_of_the_longest(tmp_path: Path) -> None:
    bucket = FolderBucket(str(tmp_path / "bucket"))
    for name in Key(of_bytes(most_bytes(bucket.url)), LONGEST).made:
        put(bucket, name, b"x")
        assert get(bucket, name) == b"x"


def test_cloud_storage_takes_every_name_that_is_made_of_the_longest() -> None:
    made = Key(of_bytes(most_bytes(CLOUD)), LONGEST).made

    assert [why_bad_name(name) for name in made] == [None] * len(made)
    assert max(map(len, made)) == MAX_NAME_BYTES


@pytest.mark.parametrize("url", [CLOUD, FOLDER])
def test_a_name_that_is_too_long_is_told_with_the_limit_and_counts_in_bytes(url: str) -> None:
    most = most_bytes(url)
    name = "ü" * (most // 2) + ".csv"

    assert why_no_input(name, "", url) == (
        f"its name has {len(name.encode())} bytes, and of more than {most} no name of a receipt can be made"
    )


def test_in_a_folder_the_prefix_counts_only_for_the_whole_path() -> None:
    prefix = "p" * 200 + "/"

    assert takes(prefix + of_bytes(most_bytes(FOLDER)), prefix, FOLDER)
    assert not takes(prefix * 4 + of_bytes(most_bytes(FOLDER)), prefix * 4, FOLDER)  # no event could carry it
    assert not takes(prefix + of_bytes(most_bytes(CLOUD)), prefix, CLOUD)


def test_the_page_says_the_same_figures() -> None:
    [told] = re.findall(r"at most (\d+) bytes [^|]*?, (\d+) bytes in a folder", DOCS.read_text())

    assert tuple(map(int, told)) == (most_bytes(CLOUD), most_bytes(FOLDER))
