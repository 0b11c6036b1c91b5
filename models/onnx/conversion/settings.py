"""Settings that skl2onnx refuses, and that make no difference to what a graph answers."""

from __future__ import annotations

from typing import Any

from models.onnx.conversion.converters import Converter, Replacements


def _as_if(name: str, value: Any, where: Any) -> Any:
    """`name` is `value` while theirs converts, where it was one of `where`."""

    def ours(theirs: Converter) -> Converter:
        def convert(scope: Any, operator: Any, container: Any) -> None:
            step = operator.raw_operator
            given = getattr(step, name)
            if given in where:
                setattr(step, name, value)
            try:
                theirs(scope, operator, container)
            finally:
                setattr(step, name, given)

        return convert

    return ours


SETTINGS: Replacements = {
    "SklearnVotingClassifier": _as_if("flatten_transform", False, (True,)),  # of `transform`
    "SklearnKBinsDiscretizer": _as_if("encode", "onehot-dense", ("onehot",)),  # sparse or not
}
