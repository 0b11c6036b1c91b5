"""The commands that move the aliases, and tell of their moves: `promote`, `stage`, `swap`, `rollback`, `history`."""

from __future__ import annotations

import getpass
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import CliPositionalArg, CliToggleFlag
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edge.command import Command
from edge.options import BucketOption
from models.commands.registry_command import ROLE_STYLE, NotProven, RegistryCommand
from models.commands.terms import TermsOptions
from models.printable import printable
from models.registry.aliases import Aliases, Move, MoveRefused, named
from models.registry.challengers import IN_WORDS
from models.registry.client import PRODUCTION, STAGING, Registry
from models.registry.description.read import not_onnx


class MoveCommand(RegistryCommand):
    """A command that moves an alias."""

    why: str = Field("", description="the reason, kept in the history")
    who: str = Field("", description="who moves it (default: the login name)")

    def act(self, registry: Registry) -> None:
        """Moves, and says what was moved."""
        for made in self.moves(Aliases(registry, self.who or _login_name()), datetime.now(UTC)):
            Console().print(_sentence(made))

    def moves(self, aliases: Aliases, now: datetime) -> Sequence[Move]:
        """Makes the moves."""
        raise NotImplementedError

    def refuse_unfit(self, registry: Registry, version: str) -> None:
        """Raises UnfitModel where a worker would refuse the version: fetches it and scores its own example."""
        from models.scoring.scorer import Scorer

        with tempfile.TemporaryDirectory() as folder:
            fetched = registry.fetch(version, Path(folder))
            Scorer(fetched.graph.read_bytes(), fetched.spec).check_example()


class Promote(TermsOptions, MoveCommand, BucketOption):
    """Makes a version production: workers serve it from their next file on.

    With --if-better only on the verdict "staging is better" of its comparison with the present production, with
    --no-worse also on "no difference" where it takes less time per row; else the status is 3.
    """

    version: CliPositionalArg[str] = Field(description="the number of the version, or a challenger's alias: `staging`")
    force: bool = Field(False, description="also where a worker could not load it")
    if_better: bool = Field(False, description="only if the evidence says that it is better")
    no_worse: CliToggleFlag[bool] = Field(  # argparse would take a plain --no-worse for a False
        False, description="only if it is better, or no different and cheaper"
    )
    even_if_seen_before: bool = Field(
        False, description="with both: also where much of the evidence came twice, or a model has learned from it"
    )

    def moves(self, aliases: Aliases, now: datetime) -> Sequence[Move]:
        """Points production at the version, if it can serve and the evidence allows it."""
        standing, why = aliases.registry.aliases(), self.why
        version = named(self.version, standing)
        if self.if_better or self.no_worse:
            seen = self._evidence(aliases.registry, standing, version)
            why = f"{why}; {seen}" if why else seen
        if not self.force:
            self.refuse_unfit(aliases.registry, version)
        if (self.if_better or self.no_worse) and aliases.registry.resolve(PRODUCTION) != standing[PRODUCTION]:
            raise MoveRefused("production was moved by somebody else meanwhile; nothing was changed, look again")
        return [aliases.point(PRODUCTION, version, why, now)]

    def _evidence(self, registry: Registry, standing: Mapping[str, str], version: str) -> str:
        """What the evidence says, where it allows the move. Raises NotProven."""
        from models.evidence.figures.measures.bad_measure import BadMeasure
        from models.evidence.judging.contest import Contest
        from models.evidence.judging.question import NothingCompared, Question, ask, learned, missing_for_promotion
        from models.evidence.sources.labels import BadLabels
        from transport.bucket import BucketError

        contest = Contest.of(self.model, standing)
        if contest is None:
            raise NotProven(
                "no version is production, so there is nothing to be better than: promote without a condition"
            )
        production = contest.production
        if production == version:
            raise MoveRefused(f"version {version} is production already; nothing was changed")
        try:
            terms = contest.sharing(self.terms(), version)
            found, pair, _ = ask(self.bucket, Question(self.model, production, version))
            training, unsaid = learned(registry, pair)
            summary = found.summary(pair, terms=terms, learned=training)
        except (NothingCompared, BadLabels, BucketError, BadMeasure) as error:
            raise NotProven(f"not promoted: {error}") from None
        sentence = f"{summary.evidence.sentence} ({summary.files:,} files, against version {production})"
        sentence = " ".join((sentence, *unsaid))
        if missing := missing_for_promotion(summary, no_worse=self.no_worse, anyway=self.even_if_seen_before):
            raise NotProven(f"version {version} is not promoted: {missing}. What the evidence says: {sentence}")
        doubts = "; ".join(summary.seen_before.doubts)
        return f"{sentence} Promoted all the same, although {doubts}." if doubts else sentence


class Stage(MoveCommand):
    """Makes a version staging, or a further challenger: workers score with it in production's shadow."""

    version: CliPositionalArg[str] = Field(description="the number of the version")
    challenger: str = Field(STAGING, alias="as", description=f"its alias: {IN_WORDS}, as far as workers follow them")

    def moves(self, aliases: Aliases, now: datetime) -> Sequence[Move]:
        """Points the challenger's alias at the version, unless it is no ONNX model."""
        flavors = aliases.registry.flavors(self.version)
        if flavors and "onnx" not in flavors:
            raise MoveRefused(not_onnx(flavors, self.model, self.version))
        return [aliases.stage(self.challenger, self.version, self.why, now)]


class Swap(MoveCommand):
    """Exchanges production and staging."""

    force: bool = Field(False, description="also where a worker could not load the new production")

    def moves(self, aliases: Aliases, now: datetime) -> Sequence[Move]:
        """Moves both aliases, production first."""
        standing = aliases.registry.aliases()
        coming = standing.get(STAGING)
        if coming is not None and coming != standing.get(PRODUCTION) and not self.force:
            self.refuse_unfit(aliases.registry, coming)
        return aliases.swap(self.why, now)


class Rollback(MoveCommand):
    """Gives production back to the version that had it before its last move."""

    def moves(self, aliases: Aliases, now: datetime) -> Sequence[Move]:
        """Points production back. A worker's need is urgent here, so the version is not tried first."""
        return [aliases.rollback(self.why, now)]


class History(RegistryCommand):
    """Shows every move of an alias: when, from where to where, by whom and why."""

    as_json: bool = Field(False, alias="json", description="print JSON, one array")

    def act(self, registry: Registry) -> None:
        """Prints the moves, oldest first."""
        moves = Aliases(registry, "").history()
        if self.as_json:
            print(json.dumps([_plain(made) for made in moves], indent=2))
            return
        if not moves:
            print(f"no alias of {self.model} was ever moved", file=sys.stderr)
            return
        table = Table(title=printable(f"{self.model}: moves of its aliases"), title_justify="left")
        for heading in ("when (UTC)", "alias", "from", "to", "by", "why"):
            table.add_column(heading)
        for made in moves:
            when = f"{made.when:%Y-%m-%d %H:%M:%S}" if made.when else "?"
            alias = printable(made.alias, ROLE_STYLE.get(made.alias, "bold"))
            moved = (printable(text) for text in (made.came_from or "-", made.to or "-", made.who or "?", made.why))
            table.add_row(when, alias, *moved)
        Console().print(table)


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has a number and no name
        return f"uid {os.getuid()}"


def _sentence(made: Move) -> Text:
    came = f"from version {made.came_from} " if made.came_from else ""
    return Text.assemble((made.alias, ROLE_STYLE.get(made.alias, "bold")), f" moved {came}to version {made.to}")


def _plain(made: Move) -> dict[str, Any]:
    return {
        "alias": made.alias,
        "from": made.came_from,
        "to": made.to,
        "when": made.when.isoformat() if made.when else None,
        "by": made.who or None,
        "why": made.why,
    }


COMMANDS: dict[str, type[Command]] = {
    "promote": Promote,
    "stage": Stage,
    "swap": Swap,
    "rollback": Rollback,
    "history": History,
}
