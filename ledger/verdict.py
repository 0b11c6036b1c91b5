"""The verdict on two versions of a model as it lies in the bucket: words and a picture, for programs without models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

MOST_BYTES = 1_000_000  # of a verdict that is read


@dataclass(frozen=True)
class PostedVerdict:
    """What `models watch` says of the newest pair of a model, and `output/verdicts/MODEL.html` says at length.

    `tone`: `staging` or `production` where that one is better, `none` where there is no difference, `open` where
    nothing may be concluded; `says` and `basis` go on from `headline`; `doubt`: why it is not to be acted on, empty as
    a rule; `step`, `command`: what to do next; `picture`: an SVG document, or empty; `picture_keys`: which of its lines
    (`production`, `staging`) means what.
    """

    model: str
    production: str
    staging: str
    tone: str
    headline: str
    says: str
    basis: str
    doubt: str = ""
    step: str = ""
    command: str = ""
    picture: str = ""
    picture_title: str = ""
    picture_says: str = ""
    picture_keys: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> str:
        """JSON text; the same verdict gives the same text."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> PostedVerdict:
        """What `to_json` wrote; fields that this release does not know are passed over. Raises ValueError otherwise."""
        fields: Any = json.loads(text)
        if not isinstance(fields, Mapping):
            raise ValueError("not a verdict: no JSON object")
        known = {name: fields[name] for name in cls.__dataclass_fields__ if name in fields}
        keys = known.pop("picture_keys", [])
        try:
            if wrong := [name for name, value in known.items() if not isinstance(value, str)]:
                raise TypeError(f"{wrong[0]} is no text")
            pairs = tuple((str(style), str(text)) for style, text in keys)
            return cls(**known, picture_keys=pairs)
        except (TypeError, ValueError) as error:
            raise ValueError(f"not a verdict: {error}") from None
