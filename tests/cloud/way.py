"""One file's way through Cloud Storage, call by call: what tests of faults and of costs share."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from tests.contract.fault_proxy import Request

CLASS_A, CLASS_B, FREE = "class A", "class B", "not billed"
_FOLDERS = {
    "output/receipts/": "receipt",
    "output/.claims/": "claim",
    "output/.failures/": "note",
    "output/comparisons/": "comparison",
    "output/shadow/pred_": "shadow's output",
    "output/pred_": "output",
    "output/.verify-": "probe",
}


@dataclass(frozen=True)
class Step:
    """A call of Cloud Storage: what it does to which object, and how it is billed."""

    verb: str
    object: str
    billed: str

    def __str__(self) -> str:
        return f"{self.verb} the {self.object}"


def _step(verb: str, object: str) -> Step:
    return Step(
        verb, object, {"write": CLASS_A, "list": CLASS_A, "rewrite": CLASS_A, "remove": FREE}.get(verb, CLASS_B)
    )


PRODUCTION = (
    _step("read", "receipt"),
    _step("read", "input"),
    _step("write", "claim"),
    _step("read", "receipt"),
    _step("read", "claim"),
    _step("write", "output"),
    _step("look at", "output"),
    _step("write", "receipt"),
    _step("remove", "claim"),
)
SHADOW = (
    _step("read", "input"),
    _step("read", "output"),
    _step("write", "shadow's output"),
    _step("look at", "shadow's output"),
    _step("write", "comparison"),
)
WAY = (*PRODUCTION, *SHADOW)
"""The calls about a new file whose event comes once. Reading a receipt that is not there yet (404) is not billed, nor
is the look for an output in the other form (`ledger.commit.publish`)."""


def step_of(request: Request) -> Step:
    """What a request to the JSON API asks for."""
    url = urlsplit(request.path)
    query = parse_qs(url.query)
    if request.method == "POST" and url.path.startswith("/upload/"):
        named = re.search(rb'"name": "((?:[^"\\\\]|\\\\.)*)"', request.start)  # in the first part of the body
        assert named is not None, request
        return _step("write", _kind(json.loads(b'"' + named[1] + b'"')))
    match = re.search(r"/b/[^/]+/o(?:/(?P<name>[^/]+))?(?P<rest>/.*)?$", url.path)
    assert match is not None, request
    if match["name"] is None:
        return _step("list", "bucket")
    kind = _kind(unquote(match["name"]))
    if request.method == "GET":
        return _step("read" if query.get("alt") == ["media"] else "look at", kind)
    return _step({"DELETE": "remove", "POST": "rewrite", "PATCH": "patch"}[request.method], kind)


def _kind(name: str) -> str:
    return next((kind for folder, kind in _FOLDERS.items() if name.startswith(folder)), "input")
