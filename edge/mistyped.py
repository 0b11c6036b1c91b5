"""What was meant by a word of the command line that names nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from pydantic_settings import BaseSettings

from edge.completion import options


def option(command: type[BaseSettings], given: Sequence[str]) -> str | None:
    """A sentence on the first of the arguments that is no option of `command`; None where all are.

    What comes behind `--` is no option.
    """
    known = options(command)
    known += [each.replace("--", "--no-", 1) for each in known]  # of a switch; other options have none
    for word in given[: given.index("--") if "--" in given else None]:
        name = word.partition("=")[0]
        if name.startswith("--") and name not in known:
            return there_is_no("option", name, options(command))
    return None


def there_is_no(kind: str, word: str, known: Iterable[str]) -> str:
    """`there is no option --procesess: did you mean --processes?`"""
    plain = {name.lstrip("-"): name for name in known}
    close = get_close_matches(word.lstrip("-"), plain, 1)
    return f"there is no {kind} {word}" + (f": did you mean {plain[close[0]]}?" if close else "")
