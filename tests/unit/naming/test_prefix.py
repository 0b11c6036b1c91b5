"""The prefix is checked in every program alike."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from edge.command import Command
from models.__main__ import COMMANDS as OF_MODELS
from publisher.__main__ import COMMANDS as OF_PUBLISHER
from worker.__main__ import Work

PROGRAMS: dict[str, type[Command]] = {
    name: command
    for name, command in {
        "worker": Work,
        **{f"publisher {name}": command for name, command in OF_PUBLISHER.items()},
        **{f"models {name}": command for name, command in OF_MODELS.items()},
    }.items()
    if "prefix" in command.model_fields
}
GOOD = ("", "incoming/", "incoming/2026-", "a/b/", "with blank/", "ünï/")
BAD = {
    "incoming": "'incoming/' meant",
    "incoming//": "two slashes",
    "a//b/": "two slashes",
    "/incoming/": "can hold no inputs",
    "output/": "can hold no inputs",
    "output/new/": "can hold no inputs",
    "labels/": "can hold no inputs",
    ".understudy/": "can hold no inputs",
    "../other/": "can hold no inputs",
    "a/./": "can hold no inputs",
    "a\nb/": "control character",
    "x" * 1100 + "/": "bytes",
}


def made(command: type[Command], prefix: str) -> Command:
    needed = {name: "x" for name, field in command.model_fields.items() if field.is_required()}
    return command(**needed, prefix=prefix)


def test_every_program_that_has_a_prefix_is_looked_at() -> None:
    assert {"worker", "publisher run", "publisher status", "publisher dead-letters"} < set(PROGRAMS)
    assert {"publisher rescore", "publisher provision"} < set(PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("prefix", BAD)
def test_a_prefix_that_can_hold_no_inputs_is_refused(program: str, prefix: str) -> None:
    with pytest.raises(ValidationError, match=BAD[prefix]):
        made(PROGRAMS[program], prefix)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("prefix", GOOD)
def test_any_other_is_taken_as_it_stands(program: str, prefix: str) -> None:
    assert made(PROGRAMS[program], prefix).model_dump()["prefix"] == prefix
