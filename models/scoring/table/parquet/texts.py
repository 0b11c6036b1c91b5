"""What a Parquet value is as a cell: the text that pandas writes for it into a CSV. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.scoring.table.cells import CODED, encoded
from models.scoring.table.stream import SUBSTITUTE

# Arrow and numpy write these floats in two ways; of all others they give the same digits.
_WRITTEN_OTHERWISE = r"e|^-?0\.0000|^[^.]*$"

_is = pa.types
_STRINGS = (_is.is_string, _is.is_large_string, _is.is_string_view)
_BYTES = (_is.is_binary, _is.is_large_binary, _is.is_binary_view)
_AS_ARROW_WRITES = (_is.is_integer, _is.is_decimal, _is.is_date, _is.is_time, _is.is_null)


def has_texts(kind: pa.DataType) -> bool:
    """True where a value of this type is a cell: a number, a text, bytes of text, true or false, a date or a time."""
    known = (*_STRINGS, *_BYTES, *_AS_ARROW_WRITES, _is.is_boolean, _is.is_floating, _is.is_timestamp)
    return any(is_kind(value_type(kind)) for is_kind in known)


def value_type(kind: pa.DataType) -> pa.DataType:
    """Of a dictionary what it holds, of any other type that type."""
    return kind.value_type if _is.is_dictionary(kind) else kind


def is_text(kind: pa.DataType) -> bool:
    """True for texts, and for bytes of text."""
    return any(is_kind(kind) for is_kind in (*_STRINGS, *_BYTES))


def coded_texts(values: pa.Array) -> pa.Array:
    """Values [N] of a type that `has_texts` as cells, of type CODED; null and NaN are empty cells.

    Bytes that are not UTF-8 become UNREADABLE, as in a CSV.
    """
    if _is.is_null(values.type):
        values = values.cast(pa.string())
    if _is.is_float16(values.type):
        values = values.cast(pa.float32())
    if not _is.is_dictionary(values.type):
        values = values.dictionary_encode()
    distinct = _texts(values.dictionary)
    codes = values.indices.cast(pa.int32())
    if codes.null_count:
        codes = codes.fill_null(len(distinct))
        distinct = pa.concat_arrays([distinct, pa.array([""])])
    return pa.DictionaryArray.from_arrays(codes, distinct).cast(CODED)


def longest(cells: pa.Array) -> int:
    """Bytes of the longest of these texts; of cells of type CODED the distinct ones are asked."""
    texts = encoded(cells)[0] if _is.is_dictionary(cells.type) else cells
    return pc.max(pc.binary_length(texts)).as_py() or 0


def _texts(values: pa.Array) -> pa.Array:
    kind = values.type
    if is_text(kind):
        found = _utf8(values)
    elif _is.is_boolean(kind):
        found = pc.if_else(values, "True", "False")
    elif _is.is_floating(kind):
        found = _floats(values)
    elif _is.is_timestamp(kind):
        found = _whole_seconds(values.cast(pa.timestamp(kind.unit)), "Z" if kind.tz else "")
    else:
        found = values.cast(pa.string())
    return found.fill_null("")


def _utf8(values: pa.Array) -> pa.Array:
    try:
        found = values.cast(pa.string())
        found.validate(full=True)
        return found
    except pa.ArrowInvalid:
        held = values.cast(pa.large_binary()).to_pylist()
        texts = (None if cell is None else cell.decode("utf-8", errors=SUBSTITUTE) for cell in held)
        return pa.array(texts, pa.string())


def _floats(values: pa.Array) -> pa.Array:
    """The fewest digits that give the same float back, as numpy writes them."""
    texts = values.cast(pa.string())
    texts = pc.if_else(pc.is_nan(values), "", texts)
    return _replaced(
        texts,
        pc.match_substring_regex(texts, _WRITTEN_OTHERWISE),
        lambda odd: values.take(odd).to_numpy(zero_copy_only=False).astype(str),
    )


def _replaced(texts: pa.Array, where: pa.Array, by: Callable[[pa.Array], np.ndarray[Any, Any]]) -> pa.Array:
    """`texts` with others `where` a mask says so, but for empty ones; `by` gives them for their places."""
    mask = pc.and_(where, pc.not_equal(texts, "")).fill_null(False)
    places = pa.array(np.flatnonzero(mask.to_numpy(zero_copy_only=False)))
    if not len(places):
        return texts
    return pc.replace_with_mask(texts, mask, pa.array(by(places).astype(object), pa.string()))


def _whole_seconds(values: pa.Array, zone: str) -> pa.Array:
    """Times as text, without a fraction of zeros."""
    texts = pc.replace_substring_regex(values.cast(pa.string()), r"\.0+$", "")
    return pc.binary_join_element_wise(texts, zone, "")
