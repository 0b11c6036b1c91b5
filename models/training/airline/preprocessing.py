"""From raw columns to what a classifier takes: one-hot text, imputed (and, for a network, standardised) numbers."""

from __future__ import annotations

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from models.training.airline.schema import NUMBER_COLUMNS, TEXT_COLUMNS


def preprocessing(*, standardise: bool) -> ColumnTransformer:
    """Unfitted. A gap in a number becomes the training median, so no row is ever dropped; unknown text is all zeros.

    models.onnx.graph.preprocessing_graph says the same in ONNX.
    """
    numbers = [("gaps", SimpleImputer(strategy="median", keep_empty_features=True))]
    if standardise:
        numbers.append(("scale", StandardScaler()))
    return ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore", sparse_output=False), list(TEXT_COLUMNS)),
            ("numbers", Pipeline(numbers), list(NUMBER_COLUMNS)),
        ]
    )
