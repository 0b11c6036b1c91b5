"""Addresses of registries and of what lies in them: shown without passwords, refused where foreign.

A registry's address may hold a password, and what is logged or answered is read by many. The place of a version's files
is named by the person that registers it, and the registry's token goes with the request: so only places that the
registry's owner has named are asked.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote, urlsplit

HIDDEN = "***"
LEAST_ALONE = 4  # characters of a password that is looked for by itself; a shorter one stands in any word

_USER_AND_PASSWORD = re.compile(r"(?<=://)([^?#]*)@")  # up to the last @: a password may hold one, and a slash
_SECRET_PARAMETER = re.compile(
    r"([?&;][^=&;#]*(?:pass|pwd|secret|token|key|credential)[^=&;#]*=)([^&;#\s]*)", re.IGNORECASE
)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_LOCAL = ("", "file")
# By RFC 3986, section 3.2. Of others, `http://a\\@b` say, two libraries take different parts for the host.
_PLAIN = re.compile(
    r"([a-z][a-z0-9+.-]*:)?(//[a-z0-9._~%!$&'()*+,;=:@\[\]-]*|(?!//))([/?#]|\Z)", re.IGNORECASE | re.ASCII
)
_PROXIED = "mlflow-artifacts"  # the registry's server fetches it; a host in it is asked in the registry's place
_SQLITE = "sqlite:///"


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


def why_elsewhere(source: str, registry: str, root: str, allowed: Collection[str]) -> str | None:
    """Why no file may be fetched from `source`; None where it may.

    `registry`: the address of the registry; `root`: where it keeps artefacts by default, "" where that is not known;
    `allowed`: further hosts and buckets (UNDERSTUDY_ARTIFACT_HOSTS), like `files.example.org:8080` or `s3://models`. A
    folder of this machine may be read: no request is made for it.
    """
    try:
        scheme, host = _parts(source)
    except ValueError:
        return _ambiguous(source)
    if scheme in _LOCAL and host in ("", "localhost"):
        return None
    if not _PLAIN.match(source):
        return _ambiguous(source)
    if scheme == _PROXIED:
        if not host:
            return None
        scheme = urlsplit(registry).scheme.lower()  # MLflow asks that host as it asks the registry
    if {host, f"{scheme}://{host}"} & {one.strip().rstrip("/").lower() for one in allowed}:
        return None
    if host and _asked(scheme, host) in {_asked(*_parts(registry)), _asked(*_parts(root))}:
        return None
    return (
        f"its files lie at {shown(source)[:200]}, which is neither the registry's own host nor its artefact root; "
        f"no request was made. Where that place is meant, name it in UNDERSTUDY_ARTIFACT_HOSTS"
    )


def _ambiguous(source: str) -> str:
    return (
        f"its files lie at {shown(source)[:200]!r}, an address of which it is not certain what host it names; no "
        f"request was made. Register it again, with a plain address"
    )


def _parts(address: str) -> tuple[str, str]:
    parts = urlsplit(address)
    return parts.scheme.lower(), _host(parts.netloc)


def _host(netloc: str) -> str:
    """Host and port, or a bucket; without user and password."""
    return netloc.rpartition("@")[2].lower()


def _asked(scheme: str, host: str) -> tuple[str, str]:
    """What is asked for such an address: a web server by its port, which two schemes do not share."""
    port = {"http": ":80", "https": ":443"}.get(scheme, "")
    has_port = ":" in host.rpartition("]")[2]
    return scheme, host if has_port else host + port


def why_no_database(address: str) -> str | None:
    """Why a `sqlite:///` address names no database of MLflow's; None where it does, and for every other address."""
    if not address.startswith(_SQLITE):
        return None
    path = Path(unquote(address.removeprefix(_SQLITE).partition("?")[0])).absolute()
    advice = "run `python -m models train all` first, or set MLFLOW_TRACKING_URI to where your registry is"
    if not path.is_file():
        return f"no registry at {path}: {advice}"
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as database:
            tables = database.execute("SELECT name FROM sqlite_master WHERE name = 'registered_models'").fetchall()
    except sqlite3.Error as error:
        return f"{path} is no readable database: {error}"
    return None if tables else f"{path} is not a registry of MLflow's: {advice}"
