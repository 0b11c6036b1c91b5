"""The command `compare`: what the records of scored files say of a production and a staging version."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field
from rich.console import Console

from edge.command import Command
from edge.options import ArtifactHosts, BucketOption, ModelOption, RegistryOption, seconds
from models.commands.terms import TermsOptions


def moment(text: object) -> object:
    """A time: ISO 8601 (UTC where it names no zone), or how long ago, like `24h` or `7d`. Raises ValueError."""
    if not isinstance(text, str):
        return text
    if re.fullmatch(r"\s*\d+(\.\d+)?\s*(s|m|h|d)\s*", text):
        ago = seconds(text)
        assert isinstance(ago, float)  # noqa: S101 - the pattern above is one that `seconds` knows
        return datetime.now(UTC) - timedelta(seconds=ago)
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time: write 2026-03-31, 2026-03-31T08:00Z, or how long ago, like 24h"
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


Moment = Annotated[datetime, BeforeValidator(moment)]


class EvidenceCommand(TermsOptions, ModelOption, RegistryOption, BucketOption):
    """A command over the comparisons in a bucket."""

    artifact_hosts: ArtifactHosts = ""


class Compare(EvidenceCommand):
    """Says whether staging is better than production, from the records of scored files.

    Without versions it is the pair in the aliases, or else the newest pair that was compared. Labels that came later
    are read from the files in labels/ in the bucket and from --labels, and joined by id to what was predicted then.
    """

    production: str | None = Field(None, description="the version that served")
    staging: str | None = Field(None, description="the version in its shadow")
    since: Moment | None = Field(None, description="only files of this time or later: 2026-03-31, or 24h ago as 24h")
    until: Moment | None = Field(None, description="only files before this time")
    labels: list[Path] = Field(default_factory=list, description="CSV of labels that came later: an id and a label")
    as_json: bool = Field(False, alias="json", description="print JSON (docs/evidence.schema.json) and nothing else")
    html: Path | None = Field(None, description="write the report there, one page that needs nothing else")

    def run(self) -> int:
        """Prints the comparison; status 1 where there is none."""
        from models.evidence.figures.measures.bad_measure import BadMeasure
        from models.evidence.judging.contest import Contest
        from models.evidence.judging.question import NothingCompared, Question, ask, learned, sizes
        from models.evidence.sources.labels import BadLabels
        from models.evidence.sources.records import Window
        from models.registry.client import PRODUCTION, Registry, RegistryUnreachable
        from transport.bucket import BucketError

        registry = Registry(self.mlflow_tracking_uri, self.model, artifact_hosts=self.artifact_hosts)
        window, files = Window(self.since, self.until), tuple(self.labels)
        question = Question(self.model, self.production, self.staging, window, files)
        preferred = None
        notes: list[str] = []
        unasked: list[str] = []
        try:
            standing = registry.aliases()
        except RegistryUnreachable as error:
            unasked.append(f"The registry was not asked who stands where, nor who learned from what: {error}.")
            standing = {}
        contest = Contest.of(self.model, standing)
        against = list(contest.challengers.values()) if contest else []
        if self.production is None or self.staging is None:
            first = self.production or standing.get(PRODUCTION)
            shadows = [self.staging] if self.staging else against
            if first and shadows and first != shadows[0]:
                preferred = Question(self.model, first, shadows[0], window, files, tuple(shadows[1:]))
        if self.since or self.until:
            notes.append("Only files of a chosen time count: a time chosen after a look at the figures proves little.")
        try:
            terms = self.terms()
            found, pair, asked = ask(self.bucket, question, preferred)
            training, unsaid = learned(registry, pair)
            if not unasked:
                notes += unsaid
            if contest and pair[0].version == contest.production:
                terms = contest.sharing(terms, pair[1].version)
            summary = found.summary(
                pair,
                terms=terms,
                sizes=sizes(registry, pair),
                learned=training,
                more_notes=(*asked, *unasked, *notes),
            )
            if contest and self.staging is None:
                summary = contest.side_by_side(found, terms, summary)
        except (NothingCompared, BadLabels, BucketError, BadMeasure) as error:
            print(f"compare: {error}", file=sys.stderr)
            return 1
        if self.html is not None:
            from models.evidence.pages.report import render as page

            try:
                self.html.parent.mkdir(parents=True, exist_ok=True)
                self.html.write_text(page(summary), encoding="utf-8", errors="replace")
            except OSError as error:
                print(f"compare: {self.html} cannot be written: {error.strerror}", file=sys.stderr)
                return 1
        if self.as_json:
            print(json.dumps(summary.to_json(), indent=1))
        else:
            from models.evidence.pages.terminal import render

            Console().print(render(summary))
        if self.html is not None:
            print(f"report: {self.html.resolve()}", file=sys.stderr)
        return 0


COMMANDS: dict[str, type[Command]] = {"compare": Compare}
