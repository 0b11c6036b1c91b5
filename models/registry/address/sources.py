"""From where a version's files may come. Whoever may register a version names that place, and the registry's token goes
with the request: so only places that the registry's owner has named are asked."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import urlsplit

from models.registry.address.shown import shown

_LOCAL = ("", "file")
# By RFC 3986, section 3.2. Of others, `http://a\\@b` say, two libraries take different parts for the host.
_PLAIN = re.compile(
    r"([a-z][a-z0-9+.-]*:)?(//[a-z0-9._~%!$&'()*+,;=:@\[\]-]*|(?!//))([/?#]|\Z)", re.IGNORECASE | re.ASCII
)
_PROXIED = "mlflow-artifacts"  # the registry's server fetches it; a host in it is asked in the registry's place


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
