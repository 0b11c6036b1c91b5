"""Thrift's compact protocol, as much of it as footers and page headers of Parquet take. Pure.

Arrow makes room for whatever these claim, and asking it for a damaged column's places ends the process. So they are
read here first (thrift: doc/specs/thrift-compact-protocol.md; github.com/apache/parquet-format: parquet.thrift).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

I32, I64 = 5, 6
_TRUE, _FALSE, _BYTE, _I16, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 4, 7, 8, 9, 10, 12
_DEEPEST = 32  # structs and lists within each other

Wanted = Mapping[int, Any]
"""Field → I32 or I64, the Wanted of a struct, or a list of one Wanted: a list of structs."""
Struct = dict[int, Any]
"""Field → number, Struct or list of them, of those that were wanted and are there."""


class NoThrift(Exception):
    """The bytes are no such structure."""


class CutShort(NoThrift):
    """The bytes end before the structure does."""


def read_struct(data: bytes, wanted: Wanted, most: int) -> tuple[Struct, int]:
    """The struct at the beginning of `data`, and its length in bytes. Raises NoThrift, also beyond `most` structs."""
    reader = _Reader(data, most)
    try:
        return reader.struct(wanted, 0), reader.at
    except IndexError:
        raise CutShort("a structure that never ends") from None


class _Reader:
    def __init__(self, data: bytes, most: int) -> None:
        self._data, self._left = data, most
        self.at = 0

    def struct(self, wanted: Wanted, depth: int) -> Struct:
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            raise NoThrift("more structures than a table needs")
        found: Struct = {}
        field = 0
        while head := self._byte():
            kind, step = head & 15, head >> 4
            field = field + step if step else self._number()
            asked = wanted.get(field)
            value = self._value(kind, asked, depth + 1)
            if value is not None:
                found[field] = value
        return found

    def _value(self, kind: int, asked: Any, depth: int) -> Any:
        """The value where it is `asked` for and of that type, else None."""
        if kind in (_I16, I32, I64):
            number = self._number()
            return number if asked == kind else None
        if kind == _STRUCT:
            found = self.struct(asked if isinstance(asked, Mapping) else {}, depth)
            return found if isinstance(asked, Mapping) else None
        if kind in (_LIST, _SET):
            return self._list(asked, depth)
        if kind in (_BYTE, _DOUBLE, _BINARY):
            self._skip({_BYTE: 1, _DOUBLE: 8}.get(kind) or self._unsigned())
        elif kind not in (_TRUE, _FALSE):
            raise NoThrift(f"a field of the type {kind}")
        return None

    def _list(self, asked: Any, depth: int) -> list[Struct] | None:
        head = self._byte()
        kind, size = head & 15, head >> 4
        if size == 15:
            size = self._unsigned()
        if depth > _DEEPEST:
            raise NoThrift("more lists than a table needs")
        if kind in (_TRUE, _FALSE, _BYTE):
            self._skip(size)
            return None
        of = asked[0] if isinstance(asked, list) and kind == _STRUCT else None
        found = []
        for _ in range(size):
            value = self._value(kind, of, depth + 1)
            if value is not None:
                found.append(value)
        return found if of is not None else None

    def _skip(self, size: int) -> None:
        self.at += size
        if self.at > len(self._data):
            raise IndexError

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _unsigned(self) -> int:
        found = shift = 0
        while True:
            byte = self._byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
            shift += 7
            if shift > 63:
                raise NoThrift("a number that never ends")

    def _number(self) -> int:
        found = self._unsigned()
        return (found >> 1) ^ -(found & 1)
