"""From where a version's files may come: the registry's host, its artefact root, this machine, what is on the list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.util import parse_url

from models.registry.address import why_elsewhere

HTTP, SQLITE = "https://ann:secret@mlflow.example.org", "sqlite:///mlflow.db"


@pytest.mark.parametrize(
    ("source", "registry", "root", "allowed"),
    [
        ("/mlruns/1/artifacts", SQLITE, "", ()),
        ("file:///mlruns/1/artifacts", HTTP, "", ()),
        ("mlflow-artifacts:/1/artifacts", HTTP, "", ()),
        ("mlflow-artifacts://mlflow.example.org/1", HTTP, "", ()),
        ("https://mlflow.example.org/files", HTTP, "", ()),
        ("https://mlflow.example.org:443/files", HTTP, "", ()),
        ("http://MLFLOW:5000/files", "http://mlflow:5000", "", ()),
        ("s3://models/1/artifacts", HTTP, "s3://models/mlruns/0", ()),
        ("gs://models/1", HTTP, "", ("gs://models",)),
        ("gs://models/1", HTTP, "", ("models",)),
        ("http://files.example.org:8080/1", HTTP, "", (" Files.example.org:8080",)),
        ("abfss://box@store.dfs.core.windows.net/1", HTTP, "abfss://box@store.dfs.core.windows.net/0", ()),
    ],
)
def test_files_may_come_from(source, registry, root, allowed):
    assert why_elsewhere(source, registry, root, allowed) is None


@pytest.mark.parametrize(
    ("source", "registry", "root", "allowed"),
    [
        ("http://elsewhere/1", HTTP, "", ()),
        ("http://elsewhere/1", SQLITE, "/mlruns/0", ()),
        ("http://mlflow.example.org/files", HTTP, "", ()),  # not over TLS: another port
        ("https://mlflow.example.org:8443/files", HTTP, "", ()),
        ("https://mlflow.example.org@elsewhere/files", HTTP, "", ()),
        ("https://elsewhere/mlflow.example.org", HTTP, "", ()),
        ("https://mlflow.example.org.elsewhere/", HTTP, "", ()),
        ("mlflow-artifacts://elsewhere/1", HTTP, "", ()),
        ("s3://others/1", HTTP, "s3://models/mlruns/0", ("gs://others",)),
        ("gs://models/1", HTTP, "s3://models/mlruns/0", ()),
        ("ftp://mlflow.example.org/1", HTTP, "", ()),
        ("file://elsewhere/share", HTTP, "", ()),
        ("dbfs:/x", HTTP, "", ()),
        ("runs:/0/model", HTTP, "", ()),
        ("//elsewhere/x", HTTP, "", ()),
    ],
)
def test_files_may_not_come_from(source, registry, root, allowed):
    why = why_elsewhere(source, registry, root, allowed)

    assert why is not None
    assert "ARTIFACT_HOSTS" in why


@pytest.mark.parametrize(
    "source",
    [
        "https://elsewhere\\@mlflow.example.org/files",  # `requests` asks elsewhere, `urlsplit` says mlflow.example.org
        "https:\\\\elsewhere/files",
        "https://elsewhere\t@mlflow.example.org/files",
        "ht\ntps://mlflow.example.org/files",
        " https://mlflow.example.org/files",
        "https://mlflow.example.org\n",
        "https://elsewhere\uff0f@mlflow.example.org/files",
        "https://[mlflow.example.org/files",
        "mlflow-artifacts://elsewhere\\@mlflow.example.org/1",
        "mlflow-artifacts:\\\\elsewhere/1",
    ],
)
def test_no_file_comes_from_an_address_that_can_be_read_in_two_ways(source):
    why = why_elsewhere(source, HTTP, "", ("mlflow.example.org",))

    assert why is not None
    assert "no request was made" in why


PARTS = st.sampled_from(
    [
        "elsewhere",
        "mlflow.example.org",
        ":",
        ":443",
        "@",
        "/",
        "\\",
        "#",
        "?",
        "%40",
        "%2f",
        "[",
        "]",
        "\t",
        "\n",
        " ",
        "\uff0f",
    ]
)


@given(st.lists(PARTS, max_size=7).map("".join))
def test_whatever_may_be_asked_is_the_same_host_to_the_library_that_asks(rest):
    source = f"https://{rest}"
    if why_elsewhere(source, HTTP, "", ()) is None:
        assert parse_url(source).host == "mlflow.example.org"


def test_the_refusal_shows_no_password():
    assert "hunter22" not in (why_elsewhere("http://ann:hunter22@elsewhere/x", HTTP, "", ()) or "hunter22")
