"""YAML as plain data: mappings, lists, texts, numbers, true, false and null, each written where it stands.

`yaml.safe_load` runs no code, and a few lines of it still stop a program: an alias can stand for a list of aliases, ten
deep, and a number may have a million digits. Nothing here grows faster than the bytes that were read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml
from yaml.resolver import Resolver

LARGEST = 2**20
DEEPEST = 32
MOST_VALUES = 100_000  # of plain values written as people write them, more do not fit into LARGEST bytes
LONGEST_NUMBER = 64  # characters; a longer text is not meant as a number

_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NotPlain(ValueError):
    """These bytes are no plain YAML; the text says what they have, and in which line."""


def read_plain(data: bytes) -> Any:
    """What one YAML document says; None where there is none. Raises NotPlain.

    Refused: more than LARGEST bytes, MOST_VALUES values or DEEPEST levels, aliases, anchors, merge keys, tags, keys
    that are no text or stand twice, and a second document.
    """
    if len(data) > LARGEST:
        raise NotPlain(f"it has {len(data):,} bytes, and at most {LARGEST:,} are read")
    document = _Document()
    try:
        for event in yaml.parse(data, Loader=_PARSER):
            document.take(event)
    except yaml.YAMLError as error:
        raise NotPlain(f"it is no YAML: {' '.join(str(error).split())[:300]}") from None
    return document.value


class _Document:
    """Puts a document together out of the parser's events, in one pass and without recursion."""

    def __init__(self) -> None:
        self.value: Any = None
        self._begun = False
        self._values = 0
        self._levels: list[list[Any] | dict[str, Any]] = []
        self._keys: list[str | None] = []  # of each level: the key whose value comes next
        self._resolver = Resolver()
        constructor = yaml.constructor.SafeConstructor()
        self._builders: dict[str, Callable[[Any], Any]] = {
            "tag:yaml.org,2002:null": constructor.construct_yaml_null,
            "tag:yaml.org,2002:bool": constructor.construct_yaml_bool,
            "tag:yaml.org,2002:int": constructor.construct_yaml_int,
            "tag:yaml.org,2002:float": constructor.construct_yaml_float,
        }

    def take(self, event: Any) -> None:
        """The next event."""
        if isinstance(event, yaml.DocumentStartEvent):
            if self._begun:
                raise NotPlain(f"a second document begins in {_line(event)}")
            self._begun = True
        elif isinstance(event, yaml.CollectionEndEvent):
            self._keys.pop()
            self._put(self._levels.pop())
        elif isinstance(event, yaml.NodeEvent):
            _refuse_borrowed(event)
            self._values += 1
            if self._values > MOST_VALUES:
                raise NotPlain(f"it has more than {MOST_VALUES:,} values, in {_line(event)}")
            if isinstance(event, yaml.ScalarEvent):
                if self._waits_for_key():
                    self._keys[-1] = self._key(event)
                else:
                    self._put(self._scalar(event))
            else:
                self._open(event)

    def _open(self, event: Any) -> None:
        if self._waits_for_key():
            raise NotPlain(f"a key in {_line(event)} is no text")
        if len(self._levels) == DEEPEST:
            raise NotPlain(f"{_line(event)} lies deeper than {DEEPEST} levels")
        self._levels.append({} if isinstance(event, yaml.MappingStartEvent) else [])
        self._keys.append(None)

    def _waits_for_key(self) -> bool:
        return bool(self._levels) and isinstance(self._levels[-1], dict) and self._keys[-1] is None

    def _put(self, value: Any) -> None:
        """Adds a value to the innermost level."""
        if not self._levels:
            self.value = value
            return
        level, key = self._levels[-1], self._keys[-1]
        if isinstance(level, list):
            level.append(value)
        elif key is not None:
            level[key] = value
            self._keys[-1] = None

    def _key(self, event: Any) -> str:
        text: str = event.value
        if text == "<<" and event.implicit[0]:
            raise NotPlain(f"{_line(event)} has a merge key (<<); write out what it stands for")
        if text in self._levels[-1]:
            raise NotPlain(f"the key {text[:100]!r} in {_line(event)} stands there twice")
        return text

    def _scalar(self, event: Any) -> str | int | float | bool | None:
        """What it means by YAML 1.1, as `yaml.safe_load` has it; a date stays text, as does a long number."""
        text: str = event.value
        if not event.implicit[0] or len(text) > LONGEST_NUMBER:
            return text
        tag = self._resolver.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        number = self._builders.get(tag)
        if number is None:
            return text
        try:
            value: str | int | float | bool | None = number(yaml.ScalarNode(tag, text))
        except (ValueError, OverflowError):
            raise NotPlain(f"the number {text!r} in {_line(event)} cannot be read") from None
        return value


def _refuse_borrowed(event: Any) -> None:
    """Raises NotPlain for an alias, an anchor or a tag."""
    advice = "write out what it stands for"
    if event.anchor is not None:
        kind = "alias (*" if isinstance(event, yaml.AliasEvent) else "anchor (&"
        raise NotPlain(f"{_line(event)} has an {kind}{event.anchor[:100]}); {advice}")
    if event.tag is not None:
        raise NotPlain(f"{_line(event)} has a tag ({event.tag[:100]}); only plain values are read")


def _line(event: Any) -> str:
    return f"line {event.start_mark.line + 1}"
