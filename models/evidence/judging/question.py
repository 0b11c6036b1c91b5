"""Which pair of versions is meant, what its evidence says, and what promoting one of them takes."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from models.evidence.figures.summary import Summary
from models.evidence.figures.verdict import Kind
from models.evidence.record.pair import Version
from models.evidence.record.training import UNKNOWN, Learned
from models.evidence.sources.records import EvidenceReader, PairId, Window, comparison_keys, counted_files, newest
from models.registry.client import Registry, RegistryUnreachable
from models.registry.spec import Size
from transport.bucket import Bucket
from transport.open import missing, open_bucket


class NothingCompared(Exception):
    """There is no record to judge by; the text says of what, and what to do."""


@dataclass(frozen=True)
class Question:
    """What is to be compared. `production`, `staging`: numbers of versions, None for "whichever is the newest".

    `beside`: further challengers, whose records are read along.
    """

    model: str
    production: str | None
    staging: str | None
    window: Window = Window()  # noqa: RUF009 - frozen
    label_files: tuple[Path, ...] = ()
    beside: tuple[str, ...] = ()

    def fits(self, production: Version, staging: Version) -> bool:
        """True where this pair is one that the question allows."""
        return (
            production.name == staging.name == self.model
            and self.production in (None, production.version)
            and (self.staging in (None, staging.version) or staging.version in self.beside)
        )

    def __str__(self) -> str:
        first = f"production version {self.production}" if self.production else "any production version"
        second = f"staging version {self.staging}" if self.staging else "any staging version"
        return f"{self.model}, {first} and {second}"


def open_evidence_bucket(url: str) -> Bucket:
    """The bucket at `url`. Raises NothingCompared for a folder that does not exist: reading must not make one."""
    if folder := missing(url):
        raise NothingCompared(
            f"there is no folder {folder}: set UNDERSTUDY_BUCKET, or --bucket, to where the files are scored"
        )
    return open_bucket(url)


def ask(url: str, question: Question, preferred: Question | None = None) -> tuple[EvidenceReader, PairId, list[str]]:
    """Reads the pair that `preferred` names if it has records, else the newest that fits `question`.

    Gives what was read, the pair, and notes on how it was found. Raises NothingCompared, BadLabels, BucketError.
    """
    with closing(open_evidence_bucket(url)) as bucket:
        keys = comparison_keys(bucket)
        found = EvidenceReader(
            bucket, (preferred or question).fits, window=question.window, label_files=question.label_files
        )
        found.add(keys)
        notes: list[str] = []
        if preferred is not None and not found.pairs:
            fitting = {pair: at for pair, at in found.others.items() if question.fits(*pair)}
            other = newest(fitting)
            if other is not None:
                failed = f" ({_failed(found)})" if found.failed else ""
                notes.append(
                    f"There are no comparisons of {preferred} (the aliases now){failed}; this is the newest pair."
                )
                found = EvidenceReader(
                    bucket, lambda *pair: pair == other, window=question.window, label_files=question.label_files
                )
                found.add(keys)
        chosen = _chosen(found, preferred)
        if chosen is None:
            raise NothingCompared(_nothing(url, preferred or question, found))
        return found, chosen, notes + _troubles(found)


def _chosen(found: EvidenceReader, preferred: Question | None) -> PairId | None:
    """The pair that was preferred where it has records, else the newest."""
    asked = [pair for pair in found.pairs if preferred is not None and pair[1].version == preferred.staging]
    return newest({pair: found.pairs[pair].last_event for pair in asked or found.pairs})


def sizes(registry: Registry, pair: PairId) -> tuple[Size, Size]:
    """What both versions take; nothing is known of either where the registry gives no answer."""
    try:
        first, second = (registry.size(version.version) for version in pair)
    except RegistryUnreachable:
        return Size(), Size()
    return first, second


def learned(registry: Registry, pair: PairId) -> tuple[Learned, tuple[str, ...]]:
    """What both versions were fitted on, and a note where the registry does not say: nothing is known of both then."""
    try:
        first, second = (registry.training(version.version) for version in pair)
    except RegistryUnreachable as error:
        return UNKNOWN, (f"Whether a model has learned from these rows is not known: {str(error).rstrip('.')}.",)
    return (first, second), ()


def missing_for_promotion(summary: Summary, *, no_worse: bool, anyway: bool = False) -> str | None:
    """What the evidence would have to say for staging to become production; None where it says so.

    `no_worse`: no difference above the margin is enough where staging takes less time per row; `anyway`: also where
    much of the evidence was seen before.
    """
    verdict = summary.evidence.verdict
    if summary.seen_before.doubts and not anyway:
        return f"{'; '.join(summary.seen_before.doubts)} (--even-if-seen-before goes on all the same)"
    if verdict.kind is Kind.STAGING or (no_worse and verdict.kind is Kind.NO_DIFFERENCE and summary.cheaper):
        return None
    if not no_worse:
        return f"it takes the verdict '{Kind.STAGING}'"
    if verdict.kind is Kind.NO_DIFFERENCE:
        return "it takes less time per row than production's"
    no_different = replace(verdict, kind=Kind.NO_DIFFERENCE, reason="")
    return f"it takes the verdict '{Kind.STAGING}', or '{no_different}' at less cost"


def _troubles(found: EvidenceReader) -> list[str]:
    notes = list(found.bad_labels)
    if found.unreadable:
        name, reason = next(iter(found.unreadable.items()))
        notes.append(f"{len(found.unreadable):,} comparison records cannot be read (the first, {name}: {reason}).")
    return notes


def _failed(found: EvidenceReader) -> str:
    reason, _ = found.failed.most_common(1)[0]
    return f"{counted_files(found.failed.total())} could not be compared, most because {reason.rstrip('.')}"


def _nothing(url: str, question: Question, found: EvidenceReader) -> str:
    text = f"no comparisons of {question} in {url}"
    if question.window != Window():
        text += " within this time"
    if found.failed:
        text += f"; {_failed(found)}"
    elif found.unreadable:
        text += f"; {'; '.join(_troubles(found))}"
    elif found.others:
        pairs = sorted({f"{first} with {second}" for first, second in found.others})
        text += f"; there are comparisons of {', '.join(pairs[:5])}"
    else:
        text += "; workers make them for every file while a staging version stands: `python -m models stage VERSION`"
    return text
