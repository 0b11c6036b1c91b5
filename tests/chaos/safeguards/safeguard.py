"""One entry of the table of safeguards."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Safeguard:
    """`lines` of `file` keep the invariant; with `without` in their place each of `tests` fails.

    `nightly`: that takes longer than CI has; `make test-all` sees it.
    """

    invariant: int
    words: str
    file: str
    lines: str
    without: str
    tests: tuple[str, ...]
    nightly: bool = False

    def __str__(self) -> str:
        return f"{self.invariant}: {self.words}"
