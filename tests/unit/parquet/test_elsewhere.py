"""Training, profile and labels read Parquet as they read CSV."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.evidence.sources.labels import LateLabels, label_objects, read_labels
from models.profile.table import read_table
from models.training.rows import header_of, read_rows
from tests.memory import MemoryBucket
from tests.unit.parquet.files import csv, parquet, survey
from transport.bucket import put


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    """The same table in both forms."""
    paths = tmp_path / "rows.csv", tmp_path / "rows.Parquet"
    for path, content in zip(paths, (csv(survey(500)), parquet(survey(500), row_group_size=70)), strict=True):
        path.write_bytes(content)
    return paths


def test_the_profile_is_of_the_same_cells(both: tuple[Path, Path]) -> None:
    plain, packed = map(read_table, both)

    assert packed.equals(plain)


def test_training_reads_the_same_rows(both: tuple[Path, Path]) -> None:
    types = {"colour": "string", "weight": "double", "age": "long"}
    assert header_of(both[1]) == header_of(both[0])
    assert read_rows(both[1], types).equals(read_rows(both[0], types))


def test_labels_that_come_later_may_be_parquet() -> None:
    bucket, found = MemoryBucket(), []
    for name, content in (("a.csv", csv(survey(50))), ("b.parquet", parquet(survey(50)))):
        put(bucket, f"labels/{name}", content)
    for stored in label_objects(bucket):
        late = LateLabels()
        assert read_labels(bucket, [stored], None, late) == []
        found.append(late.truth([f"p-{n}" for n in range(50)]).tolist())  # type: ignore[arg-type]

    assert found[0] == found[1]
    assert set(found[0]) == {"yes", "no"}
