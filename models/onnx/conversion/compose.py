"""Fitted classifiers as ONNX graphs: part by part, each by skl2onnx or by what this project writes itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import onnx
from onnx import TensorProto, helper
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import KBinsDiscretizer

from models.onnx.columns import Given
from models.onnx.conversion.around import bagged, calibrated, one_against_rest, stacked, voted
from models.onnx.conversion.convert import Inputs, classifier_graph, transformer_graph
from models.onnx.conversion.inlined import inlined, pruned
from models.onnx.conversion.probable import probable
from models.onnx.graph import FEATURES, GraphParts
from models.onnx.trees.boosted import Boosted
from models.onnx.trees.graph import probabilities, sums
from models.onnx.trees.known import boosted_trees
from models.onnx.unfit import UnfitStep
from models.registry.spec import PROBABILITIES_OUTPUT


def features_graph(classifier: Any, features: int) -> onnx.ModelProto:
    """A fitted classifier on FEATURES, float32 [N, features]; its only output is the probabilities [N, K]."""
    return convert(classifier, [(FEATURES, FloatTensorType([None, features]))])


def convert(estimator: Any, inputs: Inputs) -> onnx.ModelProto:
    """A fitted classifier on `inputs`, those it needs; the output is the probabilities [N, K], float32.

    Raises UnfitStep, and what skl2onnx raises.
    """
    number = next((type(kind) for _, kind in inputs if not isinstance(kind, StringTensorType)), FloatTensorType)
    return _graph(estimator, inputs, number)


def convert_in_doubles(estimator: Any, inputs: Inputs) -> onnx.ModelProto:
    """The same with all that is before a classifier computed in doubles, and cast to float32 for it.

    So scikit-learn's trees have it: they take what comes as float32. Thresholds are then met exactly.
    """
    return _graph(estimator, inputs, FloatTensorType)


def _graph(estimator: Any, inputs: Inputs, last: type) -> onnx.ModelProto:
    parts = GraphParts(prefix="_/whole/")
    texts = frozenset(at for at, (_, kind) in enumerate(inputs) if isinstance(kind, StringTensorType))
    names = tuple(name for name, _ in inputs)
    is_matrix = len(inputs) == 1 and inputs[0][1].shape[1] != 1
    width = inputs[0][1].shape[1] if is_matrix else len(inputs)
    given = Given(names, width, () if is_matrix else names, texts)
    number = DoubleTensorType if any(isinstance(kind, DoubleTensorType) for _, kind in inputs) else FloatTensorType
    made = Composer(parts, number, last).probabilities(estimator, given)
    parts.nodes.append(helper.make_node("Cast", [made], [PROBABILITIES_OUTPUT], to=TensorProto.FLOAT))
    kinds = {StringTensorType: TensorProto.STRING, DoubleTensorType: TensorProto.DOUBLE}
    infos = [
        helper.make_tensor_value_info(name, kinds.get(type(kind), TensorProto.FLOAT), ["N", kind.shape[1]])
        for name, kind in inputs
    ]
    wide = len(estimator.classes_)
    return pruned(parts, infos, helper.make_tensor_value_info(PROBABILITIES_OUTPUT, TensorProto.FLOAT, ["N", wide]))


class Composer:
    """Adds classifiers to `parts`; `number`: skl2onnx's type of numbers before a classifier, `last`: at one."""

    def __init__(self, parts: GraphParts, number: type, last: type) -> None:
        self.parts, self._number, self._last = parts, number, last

    def probabilities(self, estimator: Any, given: Given) -> str:
        """The probabilities [N, K] of a fitted classifier."""
        estimator = probable(estimator)
        if isinstance(estimator, Pipeline):
            return self.probabilities(estimator.steps[-1][1], self.before(estimator, given))
        if isinstance(estimator, VotingClassifier):
            return voted(self, estimator, given)
        if isinstance(estimator, StackingClassifier):
            return stacked(self, estimator, given)
        if isinstance(estimator, CalibratedClassifierCV):
            return calibrated(self, estimator, given)
        if isinstance(estimator, OneVsRestClassifier):
            return one_against_rest(self, estimator, given)
        if isinstance(estimator, BaggingClassifier) and not given.texts:
            return bagged(self, estimator, given)
        if hasattr(estimator, "features_graph"):  # a network, which has an export of its own
            source = self.parts.add("Cast", self._matrix(given, numbers=True), to=TensorProto.FLOAT)
            return inlined(self.parts, estimator.features_graph(), [source])
        if (boosted := boosted_trees(estimator, given.texts)) is not None:
            return probabilities(self.parts, boosted, self.sums(boosted, given))
        return self.by_skl2onnx(estimator, given)

    def before(self, pipeline: Pipeline, given: Given) -> Given:
        """What the steps before the last make of it."""
        steps = [step for step in pipeline.steps[:-1] if step[1] not in (None, "passthrough")]
        if not steps:
            return given
        picks = bool(given.names) and picks_columns(steps[0][1])
        if picks:
            sources = list(given.values)
            inputs = [
                (name, (StringTensorType if at in given.texts else self._number)([None, 1]))
                for at, name in enumerate(given.names)
            ]
        else:
            sources = [self._matrix(given)]
            inputs = [(FEATURES, (StringTensorType if given.texts else self._number)([None, given.width]))]
        made = inlined(self.parts, transformer_graph(steps, inputs), sources)
        wide = TensorProto.DOUBLE if self._number is DoubleTensorType else TensorProto.FLOAT
        made = self.parts.add("Cast", made, to=wide)
        return Given((made,), _width(pipeline.steps[-1][1]), sparse=gives_sparse(steps))

    def sums(self, boosted: Boosted, given: Given) -> str:
        """What boosted trees add up to."""
        values = tuple(
            value if at in given.texts else self.parts.add("Cast", value, to=TensorProto.DOUBLE)
            for at, value in enumerate(given.values)
        )
        if given.sparse:
            missing = 0.0 if boosted.absent and boosted.missing is None else boosted.missing
            boosted = replace(boosted, missing=missing, flat=False)
        boosted = replace(boosted, doubles=boosted.doubles and self._number is DoubleTensorType)
        return sums(self.parts, boosted, Given(values, given.width, given.names, given.texts))

    def by_skl2onnx(self, classifier: Any, given: Given) -> str:
        """As skl2onnx converts it."""
        wide = TensorProto.DOUBLE if self._last is DoubleTensorType else TensorProto.FLOAT
        source = self.parts.add("Cast", self._matrix(given, numbers=True), to=wide)
        return inlined(
            self.parts, classifier_graph(classifier, [(FEATURES, self._last([None, given.width]))]), [source]
        )

    def _matrix(self, given: Given, *, numbers: bool = False) -> str:
        if given.texts and (numbers or len(given.texts) < len(given.values)):
            named = ", ".join(repr(given.names[at]) for at in sorted(given.texts))
            raise UnfitStep(
                f"text and number columns together need a ColumnTransformer as the pipeline's first step, so that the "
                f"graph knows which is which (text: {named})"
            )
        return given.matrix(self.parts)


def _width(classifier: Any) -> int:
    """How many features it takes; a CatBoostClassifier out of a file says 0, and their names."""
    return int(classifier.n_features_in_ or len(classifier.feature_names_))


def gives_sparse(steps: Sequence[tuple[str, Any]]) -> bool:
    """Whether the last of fitted steps gives a sparse matrix, as far as that is known here."""
    sparse = False
    for _, step in steps:
        if isinstance(step, CountVectorizer | HashingVectorizer):
            sparse = True
        elif isinstance(step, KBinsDiscretizer):
            sparse = step.encode == "onehot"
        elif isinstance(step, Pipeline):
            sparse = gives_sparse(step.steps)
        elif isinstance(step, FeatureUnion):
            sparse = any(gives_sparse([each]) for each in step.transformer_list)
        else:
            sparse = bool(getattr(step, "sparse_output_", getattr(step, "sparse_output", sparse)))
    return sparse


def picks_columns(step: Any) -> bool:
    """Whether a first step takes its columns by name or place out of a table."""
    if isinstance(step, Pipeline):
        return picks_columns(step.steps[0][1])
    if isinstance(step, FeatureUnion):
        return any(picks_columns(each) for _, each in step.transformer_list)
    return isinstance(step, ColumnTransformer)


def first_steps(estimator: Any) -> Sequence[Any]:
    """The first step of each pipeline in an estimator, or the estimators that are given the table itself."""
    estimator = probable(estimator)
    if isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
        return first_steps(steps[0])
    held = members(estimator)
    return [first for each in held for first in first_steps(each)] if held else [estimator]


def members(estimator: Any) -> Sequence[Any]:
    """The fitted estimators that are given what this one is given, as far as that is known here."""
    if isinstance(estimator, CalibratedClassifierCV):
        return [each.estimator for each in estimator.calibrated_classifiers_]
    if isinstance(estimator, VotingClassifier | StackingClassifier | OneVsRestClassifier):
        return list(estimator.estimators_)
    return [step for _, step in estimator.transformer_list] if isinstance(estimator, FeatureUnion) else []
