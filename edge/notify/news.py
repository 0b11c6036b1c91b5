"""What receivers are told of: each happening with its data, an id that is the same for the same thing, and a sentence.

No text in it quotes a row: of a file that is at fault it says which fault, and where the receipt lies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from edge.terminal import harmless

MOST = 1024  # characters of any text from outside
MOST_SHOWN = 300  # of a name in a sentence


class Happening(StrEnum):
    """The `type` of a message."""

    REJECTED = "understudy.file.rejected"
    DEAD_LETTERED = "understudy.file.dead-lettered"
    REFUSED = "understudy.version.refused"
    MOVED = "understudy.alias.moved"
    VERDICT = "understudy.verdict.reached"
    SILENCE = "understudy.workers.silent"


FAULTS: Mapping[str, str] = {
    "empty": "it is empty",
    "format": "it is no CSV, but an archive, a spreadsheet or a page",
    "damaged": "its gzip data is damaged",
    "encoding": "its text is not in the encoding that is expected",
    "header": "its header is not one that the model can be given",
    "quotes": "stray quotes have swallowed rows",
    "another-order": "it is two tables in one",
    "no-row": "not one of its rows can be scored",
    "unknown-texts": "a column holds texts that the model was never shown",
    "limit": "it is beyond a limit",
    "csv": "its CSV cannot be read to its end",
}
"""Why a file is rejected: the word of its receipt, and what it means."""


@dataclass(frozen=True)
class FileEnded:
    """A file without predictions. `fault`: a word, of a rejected file; `receipt`: the object with the whole story."""

    file: str
    generation: str
    status: str
    fault: str
    reason: str
    attempts: int
    receipt: str
    model: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class VersionRefused:
    """A version that an alias names and that must not serve; `serving`: what goes on in its place."""

    alias: str
    model: str
    version: str
    reason: str
    serving: str | None = None


@dataclass(frozen=True)
class AliasMoved:
    """The version that files are scored with from now on, None where the alias is gone; `before`: until now."""

    alias: str
    model: str
    version: str | None
    before: str | None


@dataclass(frozen=True)
class VerdictReached:
    """What the comparison of two versions came to, by which measure; `run`: the MLflow run with the report."""

    model: str
    production: str
    staging: str
    verdict: str
    measure: str
    sentence: str
    files: int
    rows_labelled: int
    run: str


@dataclass(frozen=True)
class WorkersSilent:
    """Files that wait, and for how many seconds no worker has shown itself."""

    files: int
    seconds: int
    queue: str


Data = FileEnded | VersionRefused | AliasMoved | VerdictReached | WorkersSilent


@dataclass(frozen=True)
class News:
    """One message. `parts`: what makes it another message than others of its kind, beside its source."""

    happening: Happening
    subject: str
    parts: tuple[str, ...]
    sentence: str
    data: Data
    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    def id(self, source: str) -> str:
        """The same for the same thing, whichever program of `source` tells of it."""
        return hashlib.sha256("\n".join((source, self.happening, *self.parts)).encode()).hexdigest()[:32]

    def fields(self) -> dict[str, Any]:
        """The data, and the sentence as `text`; without what is not known."""
        known = {key: value for key, value in asdict(self.data).items() if value is not None and value != ""}
        return {"text": self.sentence, **known}


def of_receipt(receipt: Mapping[str, Any], name: str) -> News | None:
    """What is told of a receipt (docs/receipt.schema.json) that lies at `name`; None where nothing is."""
    source, model = receipt["source"], receipt.get("model") or {}
    generation = f"{source['generation']}.{source['rescore']}" if source.get("rescore") else str(source["generation"])
    file, attempts = source["name"], receipt.get("attempt", 0)
    shown = bounded(harmless(file), MOST_SHOWN)
    if receipt["status"] == "rejected":
        happening, fault = Happening.REJECTED, receipt.get("fault", "")
        reason = FAULTS.get(fault, "its content is at fault")
        sentence = f"{shown} was rejected: {reason}."
    elif receipt["status"] == "dead-lettered":
        happening, fault, reason = Happening.DEAD_LETTERED, "", "every attempt at it has failed"
        sentence = f"{shown} has no predictions: {reason}. `python -m publisher dead-letters` says why."
    else:
        return None
    data = FileEnded(
        file=bounded(file),
        generation=generation,
        status=receipt["status"],
        fault=fault,
        reason=reason,
        attempts=attempts,
        receipt=bounded(name, 2 * MOST),
        model=model.get("name"),
        version=model.get("version"),
    )
    return News(happening, f"{data.file}@{generation}", (file, generation), sentence, data)


def version_refused(alias: str, model: str, version: str, reason: str, serving: str | None, number: str) -> News:
    """An alias names a version that must not serve. `number`: of the record of this refusal."""
    after = f"version {serving} goes on serving" if serving else f"there is no {alias} version"
    why = bounded(harmless(reason))
    sentence = f"{model} version {version} was refused as {alias}, and {after}: {why}"
    data = VersionRefused(alias, model, version, why, serving)
    return News(Happening.REFUSED, f"{model}/{version}", (alias, model, version, number), sentence, data)


def alias_moved(alias: str, model: str, version: str | None, before: str | None, number: str) -> News:
    """Another version is in force for an alias. `number`: of the record of this move."""
    was = f"version {before}" if before else "none"
    if version is None:
        sentence = f"{model} has no {alias} version any more; it was {was}."
    else:
        sentence = f"{model} version {version} is {alias} now; it was {was}."
    data = AliasMoved(alias, model, version, before)
    return News(Happening.MOVED, f"{model}/{alias}", (alias, model, number), sentence, data)


def verdict_reached(data: VerdictReached) -> News:
    """A comparison has come to a verdict, which is told once for each pair of versions and verdict."""
    sentence = f"{data.model}, staging version {data.staging} against production version {data.production}: "
    sentence += bounded(harmless(data.sentence))
    parts = (data.model, data.production, data.staging, data.run, data.verdict)
    return News(Happening.VERDICT, f"{data.model}/{data.staging}", parts, sentence, data)


def workers_silent(files: int, seconds: float, queue: str, number: str) -> News:
    """Files wait, and no worker shows itself. `number`: of the record of this silence."""
    data = WorkersSilent(files, round(seconds), queue)
    sentence = f"{files:,} files wait, and no worker has shown itself for {data.seconds} seconds."
    return News(Happening.SILENCE, "workers", (number,), sentence, data)


def bounded(text: str, most: int = MOST) -> str:
    """The text, cut where it is longer than `most` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
