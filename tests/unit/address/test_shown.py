"""Addresses as they are shown: no password, in whatever form, and enough left to know which registry is meant."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.registry.address import HIDDEN, fit_to_show, shown


@pytest.mark.parametrize(
    ("address", "as_shown"),
    [
        ("http://ann:secret@mlflow:5000/path", "http://ann:***@mlflow:5000/path"),
        ("http://a-token@mlflow:5000", "http://***@mlflow:5000"),
        (
            "postgresql://ann:p@ss/w:rd@db:5432/mlflow?sslmode=require",
            "postgresql://ann:***@db:5432/mlflow?sslmode=require",
        ),
        ("postgresql://db/mlflow?user=ann&password=secret&x=1", "postgresql://db/mlflow?user=ann&password=***&x=1"),
        ("mysql+pymysql://ann:a%40b@db/mlflow?ssl_key=k", "mysql+pymysql://ann:***@db/mlflow?ssl_key=***"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("http://mlflow:5000", "http://mlflow:5000"),
        ("databricks://profile", "databricks://profile"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_its_password(address, as_shown):
    assert shown(address) == as_shown


@pytest.mark.parametrize("form", [str, lambda text: quote(text, safe=""), lambda text: f"({text!r})"])
def test_a_library_s_text_is_shown_without_the_password_however_it_quotes_it(form):
    address = "http://ann:s3cr/t%20w0rd@mlflow:5000"

    text = fit_to_show(f"GET {address}/api failed: {form('s3cr/t w0rd')} at http://eve:other@elsewhere/x", address)

    assert "s3cr" not in text
    assert "other" not in text
    assert text.startswith(f"GET http://{HIDDEN}@mlflow:5000/api failed: ")
    assert text.endswith(f"at http://eve:{HIDDEN}@elsewhere/x")


def test_a_text_without_addresses_stays_as_it_is():
    text = "503 of a proxy: try again, or ask ops@example.org"

    assert fit_to_show(text, "sqlite:///mlflow.db") == text
    assert fit_to_show(text, "http://a:b@mlflow") == text


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#"), min_size=6, max_size=20))
def test_no_password_is_ever_seen(password):
    password = f"<{password}>"
    address = f"http://ann:{quote(password, safe='')}@mlflow:5000/x"

    for text in (shown(address), fit_to_show(f"{address}: {password}, {quote(password, safe='')}", address)):
        assert password not in text
        assert quote(password, safe="") not in text
