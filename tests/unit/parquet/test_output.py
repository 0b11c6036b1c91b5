"""Predictions as Parquet: typed, the same as in CSV, and one form of an output at a time."""

from __future__ import annotations

import datetime
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from ledger.commit import SOURCE_GENERATION
from ledger.names import RECEIPTS
from ledger.receipt import Outcome
from models.evidence.record.comparison import Comparison
from models.evidence.sources.labels import LateLabels
from models.evidence.sources.late_labels import relabel
from models.registry.spec import ModelSpec
from models.scoring.table.limits import Limits
from tests.unit.evidence.house import House, answered
from tests.unit.parquet.files import csv, parquet, survey
from tests.worker_fixtures import SPEC, THREE, contents, fetched, scorer, with_example
from transport.bucket import get, put
from worker.scoring import output
from worker.scoring.predict import Stopwatch, predict
from worker.versions.swap import InForce


def written(data: bytes, name: str = "a.csv", spec: ModelSpec = SPEC, **limits: Any) -> bytes:
    """The output of a file."""
    of = Limits(**limits)
    scoring = predict(io.BytesIO(data), scorer(with_example(spec)), Stopwatch(), name=name, limits=of, all_columns=True)
    out = output.output_of(scoring, of)
    return b"".join([out.begin(), *map(out.add, scoring), out.end()])


def table(data: bytes) -> pa.Table:
    return pq.ParquetFile(io.BytesIO(data)).read()


@pytest.mark.parametrize("spec", [SPEC, THREE], ids=["two", "three"])
def test_columns_are_typed_and_hold_what_the_csv_holds(spec: ModelSpec) -> None:
    data = csv(survey(3_000)) + b"x,red\n"
    found = table(written(data, spec=spec, output="parquet", carry="age,weight"))

    kinds = {"row": pa.int64(), "id": pa.string(), "prediction": pa.string(), "error": pa.string()}
    for name, kind in zip(found.column_names, found.schema.types, strict=True):
        assert kind == kinds.get(name, pa.float32() if name.startswith("probability") else pa.string())
    plain = pacsv.read_csv(
        io.BytesIO(written(data, spec=spec, carry="age,weight")),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            column_types=found.schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
    for name in found.column_names:
        if name in ("age", "weight", "id"):  # copied texts: nothing is text too
            assert found[name].to_pylist() == plain[name].fill_null("").to_pylist()
        else:
            assert found[name].combine_chunks() == plain[name].combine_chunks()
    assert found["error"].null_count < found.num_rows


def test_carried_columns_of_parquet_keep_their_types() -> None:
    given = survey(100).append_column("at", pa.array([datetime.datetime(2024, 1, 1)] * 100, pa.timestamp("us")))
    given = given.append_column("many", pa.array([[1]] * 100)).append_column(
        "kind", given["colour"].dictionary_encode()
    )

    found = table(written(parquet(given), "a.parquet", output="parquet", carry="age,at,weight,kind,many,gone"))

    assert found.schema.types[5:] == [pa.int16(), pa.timestamp("us"), pa.float64(), *[pa.string()] * 3]
    for name in ("age", "at", "weight"):
        assert found[name].to_pylist() == given[name].to_pylist()
    assert found["kind"].to_pylist() == given["colour"].fill_null("").to_pylist()
    assert set(found["many"].to_pylist()) == set(found["gone"].to_pylist()) == {""}
    lines = written(parquet(given), "a.parquet", carry="age,at,kind").splitlines()
    assert lines[2].endswith(b",1,2024-01-01 00:00:00,green")


def test_row_groups_are_bounded_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_GROUP_ROWS", 100)
    data = written(csv(survey(2_000)), output="parquet", block_bytes=2_000)

    opened = pq.ParquetFile(io.BytesIO(data))
    sizes = [opened.metadata.row_group(at).num_rows for at in range(opened.num_row_groups)]
    assert len(sizes) > 5
    assert max(sizes) < 300
    assert opened.read()["row"].to_pylist() == list(range(1, 2_001))


def test_no_rows_are_a_table_of_none_and_formulas_are_harmless_where_asked() -> None:
    assert table(written(b"id,colour,weight,age\n", output="parquet")).num_rows == 0
    data = b"id,colour,weight,age,note\n=1+1,red,1,2,=2+2\n"
    assert table(written(data, output="parquet", carry="note"))["id"].to_pylist() == ["=1+1"]
    safe = table(written(data, output="parquet", carry="note", spreadsheet_safe=True))
    assert (safe["id"].to_pylist(), safe["note"].to_pylist()) == (["'=1+1"], ["'=2+2"])


def house(folder: Path, spec: ModelSpec = SPEC, **limits: Any) -> House:
    folder.mkdir(exist_ok=True)
    production, staging = (fetched(folder, f"{n + 1}", bias=2.0 * n, spec=spec) for n in range(2))
    return House(folder, InForce(production, staging), limits=Limits(**limits))


def records(of: House) -> list[dict[str, Any]]:
    """The comparison records without what differs between any two runs."""
    found = [json.loads(get(of.bucket, info.name)) for info in of.bucket.objects("output/comparisons/")]
    for record in found:
        record["file"].pop("generation")
        record["sums"] = {name: value for name, value in record["sums"].items() if "seconds" not in name}
    return found


@pytest.mark.parametrize("spec", [SPEC, THREE], ids=["two", "three"])
def test_receipts_comparisons_and_late_labels_are_those_of_csv(tmp_path: Path, spec: ModelSpec) -> None:
    houses = [house(tmp_path / form, spec, output=form, carry="all") for form in ("csv", "parquet")]
    for one in houses:
        one.drop("a.csv", csv(survey(3_000)))

    plain, packed = (
        [Outcome.from_json(get(one.bucket, info.name)) for info in one.bucket.objects(RECEIPTS)] for one in houses
    )
    assert [receipt.output for receipt in packed] == ["output/pred_a.parquet"]
    assert [_bare(receipt) for receipt in packed] == [_bare(receipt) for receipt in plain]
    names = [name for name in contents(houses[1].bucket, "output/") if "/pred_" in name]
    assert sorted(names) == ["output/pred_a.parquet", "output/shadow/pred_a.parquet"]
    assert table(get(houses[1].bucket, names[0])).num_rows == 3_000
    assert records(houses[0]) == records(houses[1])

    again = []
    for one in houses:
        late = LateLabels()
        late.add([f"p-{n}" for n in range(3_000)], [spec.classes[n % len(spec.classes)] for n in range(3_000)])
        [stored] = one.bucket.objects("output/comparisons/")
        again.append(relabel(one.bucket, Comparison.from_json(json.loads(get(one.bucket, stored.name))), late))
    assert np.array_equal(again[0].rows, again[1].rows)
    assert np.array_equal(again[0].confusion, again[1].confusion)


def _bare(receipt: Outcome) -> Outcome:
    source = replace(receipt.source, bucket="", generation=0)
    return replace(receipt, source=source, output=None, sha256="", timings={}, finished="")


@pytest.mark.parametrize(("first", "then"), [("csv", "parquet"), ("parquet", "csv")])
def test_another_form_leaves_no_older_output_beside_the_newer(tmp_path: Path, first: str, then: str) -> None:
    house(tmp_path, output=first).drop("a.csv", answered(range(10)))

    house(tmp_path, output=then).drop("a.csv", answered(range(20)))

    bucket = House(tmp_path).bucket
    names = [name for name in contents(bucket, "output/") if "/pred_" in name]
    assert sorted(names) == [f"output/pred_a.{then}", f"output/shadow/pred_a.{then}"]


def test_what_another_program_made_of_an_output_is_left_alone(tmp_path: Path) -> None:
    one = house(tmp_path, output="csv")
    put(one.bucket, "output/pred_a.parquet", b"of a person")

    one.drop("a.csv", answered(range(10)))

    assert get(one.bucket, "output/pred_a.parquet") == b"of a person"
    assert SOURCE_GENERATION in one.bucket.stat("output/pred_a.csv").metadata  # type: ignore[union-attr]
