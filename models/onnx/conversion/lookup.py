"""OneHotEncoder, OrdinalEncoder and TargetEncoder: what each cell becomes, out of a table.

To an encoder that was shown gaps in text a gap is a category of its own, and in a file an empty text. A row that the
encoder refuses, for a category that it was not shown, is refused by the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from onnx import TensorProto, helper
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from models.onnx.codes import codes
from models.onnx.conversion.converters import Converter, Replacements, add_parts
from models.onnx.graph import GraphParts
from models.onnx.unfit import UnfitStep
from models.scoring.table.gaps import trimmed


def _by_table(_theirs: Converter) -> Converter:
    def convert(scope: Any, operator: Any, container: Any) -> None:
        encoder = operator.raw_operator
        _refuse_blanks(encoder.categories_)
        with add_parts(scope, operator, container) as parts:
            pieces = []
            for at, (value, text) in enumerate(_columns(parts, operator)):
                learned = encoder.categories_[at]
                keys = ["" if text and pd.isna(key) else key for key in learned if text or not pd.isna(key)]
                table, closed = _table(encoder, at, len(keys))
                places = codes(parts, value, keys, text=text, closed=closed)
                pieces.append(parts.add("Gather", parts.constant(table), places))
            parts.nodes.append(helper.make_node("Concat", pieces, [operator.outputs[0].full_name], axis=1))

    return convert


def _columns(parts: GraphParts, operator: Any) -> list[tuple[str, bool]]:
    """Each column [N, 1] of an operator's inputs, numbers as doubles, and whether it is of texts."""
    found = []
    for given in operator.inputs:
        text, value = isinstance(given.type, StringTensorType), given.full_name
        value = value if text else parts.add("Cast", value, to=TensorProto.DOUBLE)
        wide = int(given.type.shape[1])
        for at in range(wide):
            place = parts.constant(np.array([at], dtype=np.int64))
            found.append((value if wide == 1 else parts.add("Gather", value, place, axis=1), text))
    return found


def _refuse_blanks(learned: Sequence[np.ndarray[Any, Any]]) -> None:
    for categories in learned:
        for text in categories:
            if isinstance(text, str) and trimmed(text) != text:
                raise UnfitStep(
                    f"its encoder learned texts with blanks at their ends ({text[:40]!r}), and a worker takes them off:"
                    " train on texts without them"
                )


def _table(encoder: Any, at: int, known: int) -> tuple[np.ndarray[Any, Any], bool]:
    """What a feature's keys become: a row for each key, and one for gaps and for others as far as there is an answer.

    With it whether gaps and others have rows of their own, see `codes`.
    """
    of_gap = known < len(encoder.categories_[at])  # a gap in numbers is no key, but the last that was learned
    if isinstance(encoder, OneHotEncoder):
        return _one_hot(encoder, at), of_gap
    return (_ordinal if isinstance(encoder, OrdinalEncoder) else _means)(encoder, at), of_gap


def _one_hot(encoder: Any, at: int) -> np.ndarray[Any, Any]:
    learned = encoder.categories_[at]
    places = np.arange(len(learned))
    rare = encoder.infrequent_categories_[at] if getattr(encoder, "_infrequent_enabled", False) else None
    if rare is not None:
        places = np.asarray(encoder._default_to_infrequent_mappings[at])
    wide = places.max(initial=-1) + 1
    table = np.eye(wide + 1, wide, dtype=np.float32)[[*places, wide]]  # of others: zeros
    if encoder.handle_unknown == "error":
        table = table[:-1]
    elif encoder.handle_unknown in ("infrequent_if_exist", "warn") and rare is not None:
        table[-1, wide - 1] = 1.0  # the rare ones stand last
    left_out = None if encoder.drop_idx_ is None else encoder.drop_idx_[at]
    return table if left_out is None else np.delete(table, places[int(left_out)], axis=1)


def _ordinal(encoder: Any, at: int) -> np.ndarray[Any, Any]:
    learned = encoder.categories_[at]
    values = np.arange(len(learned), dtype=np.float64)
    mappings = getattr(encoder, "_default_to_infrequent_mappings", None)
    if mappings is not None and mappings[at] is not None:
        values[: len(mappings[at])] = mappings[at]
    if len(learned) and pd.isna(learned[-1]):
        values[-1] = encoder.encoded_missing_value
    others = [] if encoder.handle_unknown == "error" else [float(encoder.unknown_value)]
    return np.append(values, others)[:, np.newaxis]


def _means(encoder: Any, at: int) -> np.ndarray[Any, Any]:
    others = np.atleast_1d(encoder.target_mean_)
    made = np.array(encoder.encodings_[at * len(others) : (at + 1) * len(others)], dtype=np.float64).T
    return np.vstack([made, others[np.newaxis]])


def _shape(operator: Any) -> None:
    encoder = operator.raw_operator
    if isinstance(encoder, OneHotEncoder):
        kind, wide = FloatTensorType, sum(_one_hot(encoder, at).shape[1] for at in range(len(encoder.categories_)))
    else:
        several = 1 if isinstance(encoder, OrdinalEncoder) else len(np.atleast_1d(encoder.target_mean_))
        kind, wide = DoubleTensorType, several * len(encoder.categories_)
    operator.outputs[0].type = kind([None, wide])


LOOKUPS: Replacements = dict.fromkeys(
    ("SklearnOneHotEncoder", "SklearnOrdinalEncoder", "SklearnTargetEncoder"), _by_table
)
LOOKUP_SHAPES = dict.fromkeys(LOOKUPS, _shape)
