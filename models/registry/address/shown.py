"""Addresses fit to be shown: a registry's may hold a password, and what is logged or answered is read by many."""

from __future__ import annotations

import re
from urllib.parse import quote, quote_plus, unquote

HIDDEN = "***"
LEAST_ALONE = 4  # characters of a password that is looked for by itself; a shorter one stands in any word

_USER_AND_PASSWORD = re.compile(r"(?<=://)([^?#]*)@")  # up to the last @: a password may hold one, and a slash
_SECRET_PARAMETER = re.compile(
    r"([?&;][^=&;#]*(?:pass|pwd|secret|token|key|credential)[^=&;#]*=)([^&;#\s]*)", re.IGNORECASE
)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)


def shown(address: str) -> str:
    """The address with HIDDEN in the place of its password, of a user name that has none, and of secret parameters."""
    return _SECRET_PARAMETER.sub(rf"\1{HIDDEN}", _USER_AND_PASSWORD.sub(_without_password, address))


def fit_to_show(text: str, address: str) -> str:
    """A text, of a library's error say, without what `shown` hides in `address`, however it is quoted there."""
    for secret in _secrets(address):
        text = text.replace(secret, HIDDEN)
    return _ADDRESS.sub(lambda found: shown(found[0]), text)


def _without_password(found: re.Match[str]) -> str:
    user, colon, _ = found[1].partition(":")
    return f"{user}:{HIDDEN}@" if colon else f"{HIDDEN}@"


def _secrets(address: str) -> list[str]:
    """Every form in which a secret of the address may stand in a text, the longest first."""
    found = [match[1] for match in _USER_AND_PASSWORD.finditer(address)]
    whole = [secret for part in found for secret in (part, part.partition(":")[2])]
    whole += [match[2] for match in _SECRET_PARAMETER.finditer(address)]
    plain = {form for secret in whole for form in (secret, unquote(secret))}
    forms = plain | {quoted for form in plain for quoted in (quote(form), quote(form, safe=""), quote_plus(form))}
    return sorted((form for form in forms if len(form) >= LEAST_ALONE), key=len, reverse=True)
