"""Histogram boosting, with categories by name, by place and by type."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import (
    OrdinalEncoder,
)

from tests.unit.adopted.models import (
    Case,
    categories,
    codes,
    each,
    encoded,
    histogram,
    on,
)
from tests.unit.adopted.penguins import (
    DRAWN,
    IS_GENTOO,
    NUMBERS,
    SPECIES_OF,
    SPECIES_OF_WHOLE,
    TABLE,
    TEXTS,
    WHOLE,
    assert_served,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # what the libraries say of gaps and of few rows


SERVED: dict[str, Case] = {
    "numbers with gaps": on(TABLE[NUMBERS], SPECIES_OF, lambda: histogram()),
    "numbers without gaps": on(WHOLE[NUMBERS], SPECIES_OF_WHOLE, lambda: histogram()),
    "from_dtype": on(categories(TABLE), SPECIES_OF, lambda: histogram(categorical_features="from_dtype")),
    "from_dtype, two classes, early stopping": on(categories(TABLE), IS_GENTOO, lambda: histogram(early_stopping=True)),
    "by name, of texts": on(categories(TABLE), SPECIES_OF, lambda: histogram(categorical_features=TEXTS)),
    "by name, of numbers": on(codes, SPECIES_OF, lambda: histogram(categorical_features=["code"])),
    "by place behind an OrdinalEncoder": on(
        *DRAWN,
        lambda: encoded(
            histogram(categorical_features=[0, 1]),
            "passthrough",
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
        ),
    ),
    "in a pipeline": on(*DRAWN, lambda: encoded(histogram())),
    "monotonic, interactions": on(
        TABLE[NUMBERS], IS_GENTOO, lambda: histogram(monotonic_cst=[1, 0, 0], interaction_cst="no_interactions")
    ),
}


@each(SERVED)
def test_served_equal_on_every_row(case: Case) -> None:
    assert_served(*case())
