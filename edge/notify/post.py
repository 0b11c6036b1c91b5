"""One request to a receiver, and what is known after it: was the message taken, and may it be sent again?

A message goes to a receiver at most once. So it is sent again only where it is certain that it was not taken: no
connection came about, or the receiver said that it takes nothing now (408, 429, and 503 with a Retry-After; without one
a 503 may come from a proxy whose server has read the message). An answer of 500, garbage, or none within the time: the
message may have been taken, and is not sent again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import urlsplit

from edge.version import VERSION

CONNECT_SECONDS, ANSWER_SECONDS = 3.0, 5.0
LONGEST_WAIT = 60.0  # seconds that a receiver may ask for
AGENT = f"understudy/{VERSION}"

NOT_NOW = (408, 429)


class Fate(StrEnum):
    """What became of a message for one receiver."""

    DELIVERED = "delivered"
    REFUSED = "refused"  # it was answered, and not taken
    UNSURE = "unsure"  # it may have been taken
    AWAY = "away"  # it was not taken, at any attempt
    DROPPED = "dropped"  # it was not sent: too many waited, or the program ended


@dataclass(frozen=True)
class Post:
    """What is sent where."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Reply(NamedTuple):
    """`why`: in words without anything of the address; `wait`: seconds after which the message may be sent again."""

    fate: Fate
    why: str = ""
    wait: float | None = None


def shown(url: str) -> str:
    """Scheme, host and port: the rest of an address may be a secret, and so may a user name."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def send(post: Post) -> Reply:
    """One request. Never raises; redirects are not followed, and no answer's body is read."""
    import requests  # here: most programs tell nobody
    from requests import exceptions

    try:
        with requests.post(
            post.url,
            post.body,
            headers={"User-Agent": AGENT, "Connection": "close", **post.headers},
            timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
            allow_redirects=False,
            stream=True,
        ) as response:
            return judge(response.status_code, response.headers.get("Retry-After", ""))
    except exceptions.ConnectTimeout:
        return Reply(Fate.AWAY, "no connection in time", 0.0)
    except exceptions.ProxyError:
        return Reply(Fate.AWAY, "the proxy makes no connection", 0.0)
    except exceptions.SSLError:
        return Reply(Fate.REFUSED, "no secure connection: its certificate is not trusted, or it speaks no TLS")
    except exceptions.ReadTimeout:
        return Reply(Fate.UNSURE, f"no answer within {ANSWER_SECONDS:g} s")
    except Exception as error:  # noqa: BLE001 - the client lets errors of the libraries below it through
        return _not_answered(error)


def judge(status: int, retry_after: str) -> Reply:
    """What an answer means. Pure."""
    if 200 <= status < 300:
        return Reply(Fate.DELIVERED)
    why = f"it answered {status}"
    if status in NOT_NOW or (status == 503 and retry_after):
        asked = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
        return Reply(Fate.AWAY, why, min(asked, LONGEST_WAIT))
    if 300 <= status < 400:
        return Reply(Fate.REFUSED, f"{why}, and redirects are not followed: give the address where it leads")
    return Reply(Fate.UNSURE if status >= 500 else Fate.REFUSED, why)


def _not_answered(error: Exception) -> Reply:
    """What an exception says; its own text would show the whole address."""
    import urllib3

    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return Reply(Fate.AWAY, str(reason).rpartition(": ")[2][:100], 0.0)
    return Reply(Fate.UNSURE, f"its answer was not understood, or did not come ({type(error).__name__})")
