"""What a settings class's field is called on the command line."""

from __future__ import annotations

from typing import get_args

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_settings import CliPositionalArg, CliUnknownArgs, NoDecode

# Both are Annotated: a type, and the marks that pydantic keeps with the field. NoDecode says how a list is read.
_MARKS = [mark for kind in (CliPositionalArg, CliUnknownArgs) for mark in get_args(kind) if isinstance(mark, type)]
_POSITIONAL = [mark for mark in _MARKS if mark is not NoDecode]


def is_positional(field: FieldInfo) -> bool:
    """True for an argument that has no option, and no variable."""
    return any(mark in _POSITIONAL for mark in field.metadata if isinstance(mark, type))


def called(name: str, field: FieldInfo) -> str:
    """The field's name, or its alias where it has one."""
    alias = field.validation_alias or field.alias
    if isinstance(alias, AliasChoices):
        alias = next(choice for choice in alias.choices if isinstance(choice, str))
    return alias if isinstance(alias, str) else name
