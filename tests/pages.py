"""The manual as tests read it: its pages, their code, links and anchors, and the commands that they tell to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/**/*.md")})

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^ {4}.*\n(?:[ \t]*\n(?= {4}))*)+", re.MULTILINE)
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_OPERATORS = {"|", "||", "&", "&&", ";", ">", ">>", "<", "(", ")"}


@dataclass(frozen=True)
class Block:
    """`language` is empty where the page names none (and for indented blocks)."""

    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """`python -m MODULE ARGUMENTS…`, as a page has it: in a block to be typed, or only named in the prose."""

    page: str
    typed: bool
    module: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: python -m {shlex.join((self.module, *self.arguments))}"


def blocks(text: str) -> list[Block]:
    """The code blocks of a page, in order."""
    found = [(match.start(), Block(match[1], match[2])) for match in _FENCE.finditer(text)]
    without = _FENCE.sub(lambda match: re.sub(r"[^\n]", "`", match[0]), text)  # the same places, and nothing indented
    for match in _INDENTED.finditer(without):
        before = without[: match.start()].rstrip("\n")
        if without[: match.start()].endswith("\n\n") and not before.splitlines()[-1].startswith(("- ", "  ")):
            found.append((match.start(), Block("", re.sub(r"^ {4}", "", match[0], flags=re.MULTILINE))))
    return [block for _, block in sorted(found, key=lambda one: one[0])]


def spans(text: str) -> list[str]:
    """What stands in the prose as code, line ends as blanks."""
    prose = _INDENTED.sub("\n", _FENCE.sub("", text))
    return [" ".join(match[2].split()) for match in _SPAN.finditer(prose)]


def anchors(text: str) -> set[str]:
    """What a link may name after #, as GitHub makes it of the headings."""
    found = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in found}


def links(text: str) -> list[str]:
    """The targets of its links."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"(`+).+?\1", "", _FENCE.sub("", text)))


def commands(page: Path) -> Iterator[Command]:
    """Every `python -m …` of a page, in blocks and in prose, one by one."""
    text = page.read_text(encoding="utf-8")
    lines = [(line, True) for block in blocks(text) for line in block.text.replace("\\\n", " ").splitlines()]
    for line, typed in [*lines, *((span, False) for span in spans(text))]:
        for match in re.finditer(r"(?<![\w.])(?:\.venv/bin/)?python -m ([\w.]+)([^`]*)", line):
            yield Command(page.relative_to(ROOT).as_posix(), typed, match[1], tuple(_arguments(match[2])))


def _arguments(text: str) -> Iterator[str]:
    words = shlex.shlex(text.replace("…", ""), posix=True, punctuation_chars=True)
    words.whitespace_split = True
    words.commenters = "#"
    try:
        for word in words:
            if word in _OPERATORS or word in {",", "."}:
                return
            yield word.rstrip(",;")
    except ValueError:  # a quote in prose
        return
