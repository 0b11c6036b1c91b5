"""Models of texts, in several scripts, are served word for word, or refused with a sentence."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from models.onnx.conversion import texts
from tests.unit.adopted.models import Case, each
from tests.unit.adopted.penguins import assert_served, said

pytestmark = pytest.mark.filterwarnings("ignore")

WORDS = """good GOOD bad Über überall süß naïve 東京 très déjà_vu x 7 42 don't e-mail Ναί ναί straße état
slow late crew seat food screen again"""


def reviews(rows: int, seed: int, more: tuple[str, ...] = ()) -> tuple[pd.DataFrame, Any]:
    """Texts of up to nine words, some of no word at all, beside a number; and whether they are good."""
    random = np.random.default_rng(seed)
    words = [*WORDS.split(), *more]
    texts = [
        " ".join(words[at] + random.choice([",", ".", "", "!"]) for at in random.integers(0, len(words), length))
        for length in random.integers(1, 10, rows)
    ]
    texts[3], texts[5] = "!", "x 7"
    table = pd.DataFrame({"text": texts, "stars": random.integers(0, 6, rows).astype(float)})
    score = np.array([text.lower().count("good") - text.count("bad") for text in texts]) + table.stars / 5
    return table, np.where(score + random.normal(0, 0.3, rows) > 0.5, "good", "not").astype(object)


TABLE, ANSWERS = reviews(500, 1)
LATER = reviews(600, 2, ("unheard", "ÉTAT", "ПРИВЕТ", "never-seen"))[0]


def alone(*steps: Any) -> Case:
    return lambda: (make_pipeline(*steps).fit(TABLE["text"], ANSWERS), TABLE[["text"]], LATER)


def beside(vectorizer: Any) -> Any:
    return make_pipeline(
        ColumnTransformer([("t", vectorizer, "text"), ("n", StandardScaler(), ["stars"])]), LogisticRegression()
    )


SERVED: dict[str, Case] = {
    "TfidfVectorizer on a Series": alone(TfidfVectorizer(), LogisticRegression()),
    "TfidfVectorizer, n-grams, sublinear": alone(
        TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True), LogisticRegression()
    ),
    "TfidfVectorizer, stop words": alone(TfidfVectorizer(stop_words=["good", "bad"]), LogisticRegression()),
    "CountVectorizer": alone(CountVectorizer(), MultinomialNB()),
    "CountVectorizer, binary, letters as they are": alone(
        CountVectorizer(binary=True, lowercase=False), MultinomialNB()
    ),
    "in a ColumnTransformer": lambda: (
        Pipeline([("c", ColumnTransformer([("t", TfidfVectorizer(), "text")])), ("l", LogisticRegression())]).fit(
            TABLE, ANSWERS
        ),
        TABLE,
        LATER,
    ),
    "beside a number": lambda: (beside(TfidfVectorizer()).fit(TABLE, ANSWERS), TABLE, LATER),
    "a vote": lambda: (
        VotingClassifier([("t", beside(TfidfVectorizer())), ("c", beside(CountVectorizer()))], voting="soft").fit(
            TABLE, ANSWERS
        ),
        TABLE,
        LATER,
    ),
}


@each(SERVED, slow=("a vote",))
def test_served_equal_on_every_row(case: Case) -> None:
    assert_served(*case())


@pytest.mark.parametrize(
    ("vectorizer", "sentence"),
    [
        (
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3)),
            "cuts texts by analyzer='char_wb'.* with the default",
        ),
        (CountVectorizer(token_pattern=r"[a-z]+"), r"token_pattern='\[a-z\]\+', and a graph by words alone"),
        (TfidfVectorizer(strip_accents="unicode"), "has a strip_accents of its own, .* fit it without"),
        (TfidfVectorizer(tokenizer=str.split, token_pattern=None), "has a tokenizer of its own, .* fit it without"),
        (TfidfVectorizer(stop_words="english", ngram_range=(1, 2)), "leaves stop words out of its n-grams: fit it"),
        (HashingVectorizer(n_features=64), "no graph can be made of HashingVectorizer: take another step"),
    ],
    ids=["letters", "pattern", "accents", "tokenizer", "stop words", "hashes"],
)
def test_other_ways_to_cut_a_text_are_refused(vectorizer: Any, sentence: str) -> None:
    fitted = make_pipeline(vectorizer, LogisticRegression()).fit(TABLE["text"], ANSWERS)
    assert re.search(sentence, said(fitted, TABLE[["text"]]))


def test_a_locale_that_is_missing_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "LOCALE", "xx_XX.UTF-8")
    fitted = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TABLE["text"], ANSWERS)
    assert said(fitted, TABLE[["text"]]) == (
        "a model of texts needs the locale xx_XX.UTF-8, which this machine lacks: as root `apt-get install locales` "
        "and `localedef -i xx_XX -f UTF-8 xx_XX.UTF-8`, then start the program again; the images have it"
    )
