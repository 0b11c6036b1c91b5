"""A file that is no CSV is rejected by the name of what it is."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sqlite3
import zipfile

import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as parquet
import pytest

from tests.unit.table.test_read import refusal

CSV = b"a,b\n1,2\n"


def zipped(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, CSV)
    return out.getvalue()


def written(write) -> bytes:
    out = io.BytesIO()
    write(pa.table({"a": [1], "b": [2]}), out)
    return out.getvalue()


def of_sqlite() -> bytes:
    base = sqlite3.connect(":memory:")
    base.execute("create table t (a, b)")
    return base.serialize()


FILES = {
    "zip": zipped("survey.csv"),
    "Excel": zipped("[Content_Types].xml"),
    "xz": lzma.compress(CSV),
    "bzip2": bz2.compress(CSV),
    "zstd": pa.compress(CSV, codec="zstd", asbytes=True),
    "gzip": gzip.compress(gzip.compress(CSV)),
    "Parquet": written(parquet.write_table),
    "Arrow": written(lambda table, out: feather.write_feather(table, out)),
    "SQLite": of_sqlite(),
    "HTML": pd.DataFrame({"a": [1], "b": [2]}).to_html().encode(),
    "XML": b'<?xml version="1.0"?><rows><row a="1" b="2"/></rows>',
    "JSON": b'[{"a": 1, "b": 2}]',
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("packed", [False, True])
def test_it_is_named(name, packed):
    refused = refusal(gzip.compress(FILES[name]) if packed and name != "gzip" else FILES[name])

    assert refused.kind == "format"
    assert name in str(refused)
    assert "CSV" in str(refused)
