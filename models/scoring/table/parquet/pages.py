"""The pages of a Parquet file, looked at before Arrow unpacks any: their sizes, as their own headers tell them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from models.scoring.table.parquet.thrift import I32, CutShort, NoThrift, Struct, read_struct

_WINDOWS = (1 << 9, 1 << 13, 1 << 20)  # bytes that are tried for a page's header, statistics of long texts in it
_MOST_STRUCTS = 1000
_KIND, _SIZE, _PACKED, _DATA, _DICTIONARY, _DATA_V2 = 1, 2, 3, 5, 7, 8  # fields of a PageHeader
_VALUES = 1  # field of each of the last three
_ENCODING = {_DATA: 2, _DATA_V2: 4}  # and where each has its encoding
_HEADER = {
    _KIND: I32,
    _SIZE: I32,
    _PACKED: I32,
    _DATA: {_VALUES: I32, 2: I32},
    _DICTIONARY: {_VALUES: I32},
    _DATA_V2: {_VALUES: I32, 4: I32},
}
_DICTIONARY_PAGE = 2
_DICTIONARY_ENCODINGS = (2, 8)  # PLAIN_DICTIONARY, RLE_DICTIONARY
_PREFIXES = 7  # DELTA_BYTE_ARRAY: a value may be as long as the page, however short it is stored


@dataclass(frozen=True)
class ParquetPage:
    """`size`: bytes unpacked, `packed`: as stored, `values`: how many it holds (of a dictionary: its entries)."""

    size: int
    packed: int
    values: int
    is_dictionary: bool
    encoding: int | None

    @property
    def takes_dictionary(self) -> bool:
        """True where its values are places in the dictionary."""
        return self.encoding in _DICTIONARY_ENCODINGS

    @property
    def value_bytes(self) -> float:
        """Bytes of a value, on average or at most; of one in the dictionary they are not known here."""
        return self.size if self.encoding == _PREFIXES else self.size / max(self.values, 1)


def pages(stream: BinaryIO, start: int, end: int) -> Iterator[ParquetPage]:
    """The pages of one column chunk, which lies from `start` to `end`. Raises NoThrift."""
    at = start
    while at < end:
        header, length = _header(stream, at, end)
        size, packed = header.get(_SIZE, -1), header.get(_PACKED, -1)
        kind = next((kind for kind in (_DATA_V2, _DATA, _DICTIONARY) if kind in header), None)
        of_kind = header[kind] if kind else {}
        values = of_kind.get(_VALUES, 0)
        if min(size, packed, values) < 0:
            raise NoThrift("a page without sizes")
        encoding = of_kind.get(_ENCODING[kind]) if kind in _ENCODING else None
        yield ParquetPage(size, packed, values, header.get(_KIND) == _DICTIONARY_PAGE, encoding)
        at += length + packed
    if at != end:
        raise NoThrift("a page that ends behind its column")


def _header(stream: BinaryIO, at: int, end: int) -> tuple[Struct, int]:
    for window in _WINDOWS:
        stream.seek(at)
        data = stream.read(min(window, end - at))
        try:
            return read_struct(data, _HEADER, _MOST_STRUCTS)
        except CutShort:
            if len(data) < window:
                break
    raise NoThrift("a page header that never ends")
