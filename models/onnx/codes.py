"""A column's values looked up among those that are known: the place of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto

from models.onnx.graph import GraphParts


def codes(
    parts: GraphParts, value: str, keys: Sequence[Any], *, text: bool, whole: bool = False, closed: bool = False
) -> str:
    """The places [N] of a column's cells [N, 1] among `keys`: texts, or doubles (`whole`: cut to whole numbers first).

    A gap (the empty text, NaN) that is no key has the place behind the last. Anything else has that one too, or where
    `closed` the next: a table that has no such row then gives no answer.
    """
    known = len(keys)
    flat = parts.add("Reshape", value, parts.constant(np.array([-1], dtype=np.int64)))
    if text or whole:
        if text:
            named: dict[str, Any] = {"keys_strings": [*map(str, keys), *([] if "" in keys else [""])]}
        else:
            flat = parts.add("Cast", flat, to=TensorProto.INT64)
            named = {"keys_int64s": list(map(int, keys))}
        places = list(range(len(next(iter(named.values())))))
        return parts.add(
            "LabelEncoder", flat, domain="ai.onnx.ml", values_int64s=places, default_int64=known + closed, **named
        )
    is_key = parts.add("Equal", value, parts.constant(np.array([[float(key) for key in keys]])))
    is_gap = parts.add("IsNaN", value)
    found = parts.add("Concat", is_key, is_gap, parts.add("Not", is_gap), axis=1)
    first = parts.add("ArgMax", parts.add("Cast", found, to=TensorProto.FLOAT), axis=1, keepdims=0)
    return first if closed else parts.add("Min", first, parts.constant(np.array(known, dtype=np.int64)))
