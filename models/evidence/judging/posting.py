"""Puts the verdict on the newest pair, and the report behind it, into the bucket: the publisher's page shows them."""

from __future__ import annotations

import hashlib

import structlog

from ledger.names import report_name, verdict_name
from ledger.verdict import PostedVerdict
from models.evidence.figures.summary import Summary
from models.evidence.pages import words
from models.evidence.pages.picture import document
from models.evidence.pages.pictures import pictures
from models.evidence.pages.report import next_step, render, tone
from transport.bucket import ABSENT, Bucket, BucketError, get, put

PICTURES = ("challengers", "evidence")  # of the report's the first that there is: how the verdict came about

log = structlog.get_logger()


class Posting:
    """Remembers what lies in the bucket: a content is written once, on condition that no other program wrote."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._due: dict[str, tuple[bytes, str]] = {}  # object → content and its type
        self._written: dict[str, str] = {}  # object → SHA-256 of its content
        self._said = ""

    def take(self, summary: Summary) -> None:
        """What is to be written next, in the place of what is not written yet."""
        model = summary.staging.name
        # The report first: a verdict that is seen leads to its report.
        self._due[report_name(model)] = render(summary).encode(), "text/html; charset=utf-8"
        self._due[verdict_name(model)] = posted(summary).to_json().encode(), "application/json"

    def write(self) -> bool:
        """Writes what has changed; what the bucket does not take is kept for the next time, and logged once."""
        try:
            for name, (content, kind) in list(self._due.items()):
                self._keep(name, content, kind)
                del self._due[name]
        except BucketError as error:
            if str(error) != self._said:
                self._said = str(error)
                log.warning("verdict not put into the bucket", error=str(error), consequence="tried at each look")
            return False
        self._said = ""
        return True

    def _keep(self, name: str, content: bytes, kind: str) -> None:
        digest = hashlib.sha256(content).hexdigest()
        if self._written.get(name) == digest:
            return
        known = self._bucket.stat(name)
        if known is None or get(self._bucket, name, known.generation) != content:
            put(self._bucket, name, content, if_generation=known.generation if known else ABSENT, content_type=kind)
        self._written[name] = digest


def posted(summary: Summary) -> PostedVerdict:
    """The report's beginning, with one picture."""
    headline, _, rest = summary.evidence.sentence.partition(". ")
    step, command = next_step(summary)
    drawn = {picture.id: picture for picture in pictures(summary)}
    shown = next((drawn[name] for name in PICTURES if name in drawn), None)
    return PostedVerdict(
        model=summary.staging.name,
        production=summary.production.version,
        staging=summary.staging.version,
        tone=tone(summary),
        headline=headline.rstrip("."),
        says=rest,
        basis=words.scope(summary),
        doubt=words.doubt(summary),
        step=step,
        command=command,
        picture=document(shown) if shown else "",
        picture_title=shown.title if shown else "",
        picture_says=shown.says if shown else "",
        picture_keys=shown.keys if shown else (),
    )
