"""The commit protocol under every interleaving: three deliveries of two generations, the input replaced, the models
swapped, one crash (docs/design.md, "The commit protocol"; invariants 1, 2 and 10)."""

from __future__ import annotations

import inspect
import itertools
from types import ModuleType

import pytest

import ledger.commit
from ledger.receipt import Status
from tests.protocol.explore import Explorer, Violation

OUTCOMES = [
    dict(zip(itertools.product((1, 2), (1, 2)), statuses, strict=True))
    for statuses in itertools.product((Status.SCORED, Status.REJECTED), repeat=4)
]
"""What scoring each generation with each version comes to: all sixteen tables."""

# Each safeguard of the protocol, as the lines that make it, and the same lines without it.
SAFEGUARDS = {
    "the first claim stands": (
        "key.claim, if_generation=ABSENT, metadata=metadata",
        "key.claim, if_generation=None, metadata=metadata",
    ),
    "the second look at the receipt": (
        "if standing := read_receipt(bucket, key):  # a claim younger than the receipt decides nothing",
        "if standing := None:",
    ),
    "a newer output is left alone": (
        "if theirs > generation:\n                return False",
        "if False:\n                return False",
    ),
    "an output of the same generation is left alone": (
        "if theirs == generation:\n                return True",
        "if False:\n                return True",
    ),
    "the output's precondition": ("if_generation=looked_at,", "if_generation=None,"),
    "the receipt's precondition": (
        '\\n".encode(),\n            if_generation=ABSENT',
        '\\n".encode(),\n            if_generation=None',
    ),
    "superseded where a newer generation stands": ("if not published:", "if False:"),
    "the claim is removed": (
        "    bucket.delete(key.claim)\n    return outcome, mine",
        "    return outcome, mine",
    ),
    "one form of an output": (" and _keep_one_form(bucket, target)", ""),
    "publish before the receipt": ("if outcome.status is Status.SCORED:", "if False:"),
}


def commit_without(safeguard: str) -> ModuleType:
    source, module = inspect.getsource(ledger.commit), ModuleType("commit_without_a_safeguard")
    lines, without = SAFEGUARDS[safeguard]
    assert source.count(lines) == 1, f"the lines of the safeguard {safeguard!r} have changed: mend this table"
    module.__file__ = ledger.commit.__file__
    exec(compile(source.replace(lines, without), f"commit without {safeguard}", "exec"), module.__dict__)
    return module


@pytest.mark.parametrize(
    "outcomes",
    [pytest.param(table, marks=[pytest.mark.slow] * bool(number % 4)) for number, table in enumerate(OUTCOMES)],
    ids=lambda table: "".join(status[0] for status in table.values()),
)
def test_every_interleaving_with_one_crash_keeps_the_invariants(outcomes):
    worlds = Explorer(ledger.commit, outcomes, crashes=1).search(most=2_000_000)

    assert worlds > 1_000


@pytest.mark.parametrize("forms", [("csv", "parquet"), pytest.param(("parquet", "csv"), marks=pytest.mark.slow)])
def test_workers_that_write_two_forms_leave_one(forms):
    for outcomes in OUTCOMES[:: 5 if forms[0] == "csv" else 3]:
        assert Explorer(ledger.commit, outcomes, crashes=0, forms=forms).search(most=2_000_000) > 1_000


@pytest.mark.slow
def test_random_ways_with_three_crashes_keep_the_invariants():
    for seed, outcomes in enumerate(OUTCOMES):
        Explorer(ledger.commit, outcomes, crashes=3).walk(ways=250, seed=20260101 + seed)
        Explorer(ledger.commit, outcomes, crashes=3, forms=("csv", "parquet")).walk(ways=250, seed=20260101 + seed)


@pytest.mark.slow
@pytest.mark.parametrize("safeguard", SAFEGUARDS)
def test_without_any_one_safeguard_an_invariant_breaks(safeguard):
    commit = commit_without(safeguard)

    with pytest.raises(Violation):
        search_all(commit)


def search_all(commit: ModuleType) -> None:
    for outcomes in OUTCOMES:
        Explorer(commit, outcomes, crashes=1).search(most=2_000_000)
        Explorer(commit, outcomes, crashes=0, forms=("csv", "parquet")).search(most=2_000_000)
