"""The options of a program that tells receivers of what happens."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from edge.command import Command

if TYPE_CHECKING:
    from edge.notify.lineage import Lineage
    from edge.notify.notifier import Notifier

SCHEMES = ("https", "http", "slack+https", "slack+http")


def several(given: object) -> list[str]:
    """One text, or a list of them, as the words in it: they end at blanks and commas."""
    if isinstance(given, str) and given.startswith("["):
        given = json.loads(given)
    texts = given if isinstance(given, list) else [given]
    return [word for text in texts for word in re.split(r"[\s,]+", str(text)) if word]


def address(text: str, schemes: tuple[str, ...] = SCHEMES) -> str:
    """The address. Raises ValueError, whose text shows nothing but the scheme: the rest may be a secret."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ValueError(
            f"an address begins with {', '.join(f'{scheme}://' for scheme in schemes)} and has a host; a comma in it is"
            f" written %2C (what was given is not shown: it may be a secret)"
        )
    return text


def addresses(given: list[str]) -> list[str]:
    """Each of them once. Raises ValueError."""
    return list(dict.fromkeys(address(one) for one in given))


def _secret(given: SecretStr) -> SecretStr:
    from edge.notify.cloud_event import key_of

    key_of(given.get_secret_value())
    return given


class Notifying(Command):
    """Who is told of what happens."""

    notify: Annotated[list[str], NoDecode, BeforeValidator(several), AfterValidator(addresses)] = Field(
        default_factory=list,
        description="addresses that are told of what happens, as CloudEvents: https://…, or slack+https://… for a "
        "webhook like Slack's; several by commas, or the option again. A secret address belongs in the environment",
    )
    notify_secret: Annotated[SecretStr, AfterValidator(_secret)] = Field(
        SecretStr(""),
        description="CloudEvents are signed with it: any text, or base64 behind whsec_ (in the environment)",
    )

    def notifier(self, source: str, lineage: Lineage | None = None) -> Notifier:
        """What tells receivers of happenings in the bucket at `source`; close it at the end. Raises CannotSignal."""
        from edge.notify.cloud_event import key_of
        from edge.notify.notifier import Notifier

        return Notifier(source, self.notify, key_of(self.notify_secret.get_secret_value()), lineage=lineage)


def _catalogue(text: str) -> str:
    return address(text, ("https", "http")) if text else text


class Receipting(Notifying):
    """The same of a program that writes receipts: a catalogue is told of each."""

    lineage_url: Annotated[str, AfterValidator(_catalogue)] = Field(
        "", description="http(s)://… of a catalogue that takes OpenLineage: a run event for every receipt; empty: off"
    )
    lineage_key: SecretStr = Field(
        SecretStr(""), description="the catalogue's API key, sent as a bearer token (in the environment)"
    )
    lineage_namespace: str = Field("understudy", min_length=1, description="the namespace of the catalogue's jobs")

    def notifier(self, source: str, lineage: Lineage | None = None) -> Notifier:
        if self.lineage_url:
            from edge.notify.lineage import Lineage

            key = self.lineage_key.get_secret_value()
            lineage = Lineage(self.lineage_url, key, self.lineage_namespace, source)
        return super().notifier(source, lineage)
