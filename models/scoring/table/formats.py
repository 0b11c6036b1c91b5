"""What people drop that is no CSV, known by its first bytes."""

from __future__ import annotations

import re

from models.scoring.table.faults import FileFault, Unreadable

_UNPACK = "unpack it, and drop the CSV file that is in it"
_SAVE = "save it as CSV"
_BEGINS = (
    (b"\x1f\x8b", "gzip within gzip", "pack it once"),
    (b"\xfd7zXZ\0", "an xz archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"PAR1", "a Parquet file", _SAVE),
    (b"ARROW1", "an Arrow file", _SAVE),
    (b"Obj\x01", "an Avro file", _SAVE),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)", _SAVE),
    (b"%PDF", "a PDF document", _SAVE),
    (b"SQLite format 3\0", "an SQLite database", _SAVE),
)
_HTML = re.compile(rb"\s*<(!doctype\s+html|html|head|body|table|\?xml)\b", re.IGNORECASE)
_JSON = re.compile(rb'\s*(\{\s*"|\[\s*[\[{])')
_UTF8_MARK = b"\xef\xbb\xbf"
LOOKED_AT = 4096  # bytes


def refuse_other_formats(start: bytes) -> None:
    """Raises Unreadable, with the format's name, where the first bytes of a file are those of another format."""
    what, instead = _other(start[:LOOKED_AT])
    if what:
        raise Unreadable(FileFault.FORMAT, f"the file is {what}, not CSV: {instead}")


def _other(start: bytes) -> tuple[str, str]:
    if start.startswith(b"PK\x03\x04"):
        workbook = b"[Content_Types].xml" in start or b"xl/" in start
        return ("an Excel workbook (.xlsx)", _SAVE) if workbook else ("a zip archive", _UNPACK)
    for begins, what, instead in _BEGINS:
        if start.startswith(begins):
            return what, instead
    text = start.removeprefix(_UTF8_MARK)
    if _HTML.match(text):
        return "an HTML or XML page", "where it was downloaded, the page may say why it is no file"
    return ("JSON", _SAVE) if _JSON.match(text) else ("", "")
