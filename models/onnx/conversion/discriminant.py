"""LinearDiscriminantAnalysis of two classes: skl2onnx takes the softmax of -z and z, which is a sigmoid of 2z."""

from __future__ import annotations

from typing import Any

from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from models.onnx.conversion.converters import Converter, Replacements


def _of_half(theirs: Converter) -> Converter:
    def convert(scope: Any, operator: Any, container: Any) -> None:
        linear = operator.raw_operator
        if not isinstance(linear, LinearDiscriminantAnalysis) or len(linear.classes_) != 2:
            theirs(scope, operator, container)
            return
        whole = linear.coef_, linear.intercept_
        linear.coef_, linear.intercept_ = linear.coef_ / 2, linear.intercept_ / 2
        try:
            theirs(scope, operator, container)
        finally:
            linear.coef_, linear.intercept_ = whole

    return convert


DISCRIMINANTS: Replacements = {"SklearnLinearClassifier": _of_half}
