"""Every event that the programs log, read from their sources."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
ROOMS = ("transport", "ledger", "edge", "publisher", "worker", "models")
LEVELS = ("debug", "info", "warning", "error", "exception")
LOGGERS = {"log", "told"}


class LogEvent(NamedTuple):
    name: str
    room: str


class NotConstant(Exception):
    """An event whose name is not written out where it is logged."""


def log_events() -> set[LogEvent]:
    """Each event with its room. Raises NotConstant for one that has no constant name."""
    return {
        LogEvent(name, room)
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        for name in names_in(path.read_text(encoding="utf-8"), str(path))
    }


def names_in(source: str, where: str = "") -> Iterator[str]:
    """The events that a source logs. Raises NotConstant."""
    return _names(ast.parse(source), where)


def _names(tree: ast.AST, where: str, *, telling: bool = False) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        # Such a method is given the event by its callers, which are looked at like any other call.
        inside = telling or (isinstance(node, ast.FunctionDef) and node.name == "_say_once")
        if isinstance(node, ast.Call) and not inside and (arguments := _arguments(node)):
            constant = list(_constants(arguments))
            if not constant:
                raise NotConstant(f"{where}, line {node.lineno}: {ast.unparse(node)[:100]}")
            yield from constant
        yield from _names(node, where, telling=inside)


def _arguments(call: ast.Call) -> list[ast.expr]:
    """The arguments among which an event's name is, of a call that logs."""
    if not isinstance(call.func, ast.Attribute):
        return []
    if call.func.attr == "_say_once":
        return call.args[:2]
    receiver = call.func.value
    name = receiver.id if isinstance(receiver, ast.Name) else getattr(receiver, "attr", "")
    logs = call.func.attr in LEVELS and name in LOGGERS
    return call.args[:1] if logs else []


def _constants(arguments: list[ast.expr]) -> Iterator[str]:
    for argument in arguments:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.value
        elif isinstance(argument, ast.IfExp):
            yield from _constants([argument.body, argument.orelse])
