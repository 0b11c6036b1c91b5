"""No room for what is written is told apart from every other fault: it says nothing against the file."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from transport.bucket import BucketError, NoSpace, put
from transport.buckets.folder.bucket import FolderBucket
from transport.buckets.gcs.write import GcsWriter


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, NoSpace), (errno.EDQUOT, NoSpace), (errno.EIO, BucketError)]
)
def test_a_folder_without_room(number: int, kind: type, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = FolderBucket(str(tmp_path))

    def full(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr("transport.buckets.folder.bucket.write_all", full)

    with pytest.raises(BucketError) as refused:
        put(bucket, "a.csv", b"x")

    assert type(refused.value) is kind
    assert list(bucket.objects()) == []


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, NoSpace), (errno.EDQUOT, NoSpace), (errno.EIO, BucketError)]
)
def test_a_tmpdir_without_room_for_what_is_to_be_uploaded(number: int, kind: type) -> None:
    class Full:
        def write(self, _data: bytes) -> int:
            raise OSError(number, "no")

    writer = GcsWriter(None, "a.csv", None, None, "text/csv")  # type: ignore[arg-type]
    writer._content = Full()  # type: ignore[assignment]

    with pytest.raises(BucketError, match="set TMPDIR") as refused:
        writer.write(b"x")

    assert type(refused.value) is kind
