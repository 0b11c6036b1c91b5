"""VotingClassifier: skl2onnx refuses its default for `transform`, which `predict_proba` does not look at."""

from __future__ import annotations

from typing import Any

from models.onnx.conversion.converters import Converter, Replacements


def _whatever_transform_does(theirs: Converter) -> Converter:
    def convert(scope: Any, operator: Any, container: Any) -> None:
        voting = operator.raw_operator
        given, voting.flatten_transform = voting.flatten_transform, False
        try:
            theirs(scope, operator, container)
        finally:
            voting.flatten_transform = given

    return convert


VOTING: Replacements = {"SklearnVotingClassifier": _whatever_transform_does}
