"""A version takes the columns that its model looks at, and no others."""

from __future__ import annotations

import pytest
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.unit.adopted.models import encoded, forest, logistic, scaled
from tests.unit.adopted.penguins import LATER, NUMBERS, SPECIES_OF, TABLE, TEXTS, assert_served

pytestmark = pytest.mark.filterwarnings("ignore")


def test_columns_that_a_pipeline_drops_are_no_inputs() -> None:
    by_remainder = encoded(logistic(), scaled)
    by_name = make_pipeline(
        ColumnTransformer([("n", scaled, NUMBERS), ("no", "drop", TEXTS)], remainder="drop"), logistic()
    )
    assert set(assert_served(by_remainder.fit(TABLE, SPECIES_OF), TABLE).types) == {*NUMBERS, *TEXTS}
    assert set(assert_served(by_name.fit(TABLE, SPECIES_OF), TABLE).types) == set(NUMBERS)


def test_rows_to_check_with_need_no_dropped_column_either() -> None:
    pipeline = encoded(forest(), scaled).fit(TABLE, SPECIES_OF)
    used = [*NUMBERS, *TEXTS]
    assert list(assert_served(pipeline, TABLE[used], LATER[used]).types) == used


def test_true_and_false_are_categories_to_one_member_and_numbers_to_another() -> None:
    as_categories = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["tagged"]))
    as_numbers = make_column_transformer(("passthrough", ["tagged"]))
    members = [(str(at), make_pipeline(first, logistic())) for at, first in enumerate([as_categories, as_numbers])]
    candidate = assert_served(VotingClassifier(members, voting="soft").fit(TABLE, SPECIES_OF), TABLE)
    assert dict(candidate.types) == {"tagged": "double"}


def test_a_column_that_one_member_of_a_vote_uses_is_an_input() -> None:
    numbers = make_pipeline(ColumnTransformer([("n", scaled, ["depth"])]), logistic())
    texts = make_pipeline(ColumnTransformer([("n", scaled, ["mass"])]), forest())
    vote = VotingClassifier([("n", numbers), ("t", texts)], voting="soft").fit(TABLE, SPECIES_OF)
    assert set(assert_served(vote, TABLE).types) == {"depth", "mass"}
