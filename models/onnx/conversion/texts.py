"""CountVectorizer and TfidfVectorizer: skl2onnx cuts words at every letter that is not plain ASCII.

Letters are made small by the locale C.UTF-8, which the C library of a worker's machine has without being asked, and
en_US.UTF-8, onnxruntime's own choice, it often has not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper
from skl2onnx.common.data_types import FloatTensorType
from sklearn.feature_extraction.text import TfidfVectorizer

from models.onnx.conversion.converters import Converter, Replacements, add_parts
from models.onnx.graph import GraphParts
from models.onnx.unfit import UnfitStep

LOCALE = "C.UTF-8"
_WORDS = r"(?u)\b\w\w+\b"  # scikit-learn's own pattern
_TOKENS = r"[\pL\pN_][\pL\pN_]+"  # the same for onnxruntime, whose \w is ASCII
_PAD = "\x01"  # no letter


def _by_words(_theirs: Converter) -> Converter:
    def convert(scope: Any, operator: Any, container: Any) -> None:
        vectorizer = operator.raw_operator
        _refuse_others(vectorizer)
        with add_parts(scope, operator, container) as parts:
            flat = parts.constant(np.array([-1], dtype=np.int64))
            value = parts.add("Reshape", operator.inputs[0].full_name, flat)
            if vectorizer.lowercase:
                value = parts.add("StringNormalizer", value, case_change_action="LOWER", locale=LOCALE)
            value = parts.add(
                "Tokenizer", value, domain="com.microsoft", mark=0, mincharnum=1, pad_value=_PAD, tokenexp=_TOKENS
            )
            value = parts.add("TfIdfVectorizer", value, **_pool(vectorizer))
            if vectorizer.binary:
                value = parts.add("Sign", value)
            if isinstance(vectorizer, TfidfVectorizer):
                value = _weighted(parts, vectorizer, value)
            parts.nodes.append(helper.make_node("Identity", [value], [operator.outputs[0].full_name]))
        container.node_domain_version_pair_sets.add(("com.microsoft", 1))

    return convert


def _refuse_others(vectorizer: Any) -> None:
    kind = type(vectorizer).__name__
    own = [name for name in ("preprocessor", "tokenizer", "strip_accents") if getattr(vectorizer, name) is not None]
    if own or callable(vectorizer.analyzer):
        raise UnfitStep(f"{kind} has a {(own or ['analyzer'])[0]} of its own, which no graph can hold: fit it without")
    if vectorizer.analyzer != "word" or vectorizer.token_pattern != _WORDS:
        raise UnfitStep(
            f"{kind} cuts texts by analyzer={vectorizer.analyzer!r} and token_pattern={vectorizer.token_pattern!r}, "
            f"and a graph by words alone: fit it with the defaults of both"
        )
    if vectorizer.stop_words is not None and vectorizer.ngram_range[1] > 1:
        raise UnfitStep(f"{kind} leaves stop words out of its n-grams: fit it without stop_words, or on single words")


def _pool(vectorizer: Any) -> dict[str, Any]:
    """The n-grams by length, and the place of each."""
    shortest, longest = vectorizer.ngram_range
    by_length: dict[int, list[tuple[list[str], int]]] = {length: [] for length in range(1, longest + 1)}
    for text, place in vectorizer.vocabulary_.items():
        by_length[len(words := text.split(" "))].append((words, int(place)))
    starts: list[int] = []
    pool: list[str] = []
    places: list[int] = []
    for known in by_length.values():
        starts.append(len(pool))
        for words, place in known:
            pool += words
            places.append(place)
    return {
        "mode": "TF",
        "min_gram_length": int(shortest),
        "max_gram_length": int(longest),
        "max_skip_count": 0,
        "ngram_counts": starts,
        "ngram_indexes": places,
        "pool_strings": pool,
    }


def _weighted(parts: GraphParts, vectorizer: Any, value: str) -> str:
    if vectorizer.sublinear_tf:
        one = parts.constant(np.float32(1.0))
        damped = parts.add("Add", parts.add("Log", parts.add("Max", value, one)), one)
        value = parts.add("Where", parts.add("Greater", value, parts.constant(np.float32(0.0))), damped, value)
    if vectorizer.use_idf:
        value = parts.add("Mul", value, parts.constant(vectorizer.idf_.astype(np.float32)[np.newaxis]))
    if vectorizer.norm is None:
        return value
    axis = parts.constant(np.array([1], dtype=np.int64))
    length = parts.add("ReduceL2" if vectorizer.norm == "l2" else "ReduceL1", value, axis, keepdims=1)
    return parts.add("Div", value, parts.add("Max", length, parts.constant(np.float32(1e-30))))


def _shape(operator: Any) -> None:
    operator.outputs[0].type = FloatTensorType([None, len(operator.raw_operator.vocabulary_)])


VECTORIZERS: Replacements = dict.fromkeys(("SklearnCountVectorizer", "SklearnTfidfVectorizer"), _by_words)
VECTORIZER_SHAPES = dict.fromkeys(VECTORIZERS, _shape)
