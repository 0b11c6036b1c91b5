"""`python -m publisher status` and `dead-letters`: what people are shown of how things stand."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict

from pydantic import AliasChoices, Field
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge.command import Command
from edge.log import start_log
from edge.terminal import harmless
from ledger.receipt import Outcome, Status
from publisher.commands.dead_lettered import dead_lettered, unusable_records
from publisher.commands.settings import Places
from publisher.status import Overview, overview
from transport.bucket import BucketError
from transport.open import open_dead_letters, open_queue
from transport.queue import QueueError

_REFRESH = 1.0  # seconds
_NAMED = 5  # objects that are no inputs, on the screen
_COLOURS = {"scored": "green", "rejected": "yellow", "superseded": "dim", "dead-lettered": "red"}


class _Shown(Places):
    as_json: bool = Field(
        default=False, validation_alias=AliasChoices("json", "JSON"), description="print JSON instead of tables"
    )

    def run(self) -> int:
        start_log("publisher", self.log_level)
        if nothing := self.no_bucket() or self.no_queue():
            print(f"python -m publisher: {nothing}", file=sys.stderr)
            return 2
        try:
            with ExitStack() as stack:
                return self.show(stack)
        except (BucketError, QueueError) as error:
            print(f"python -m publisher: {error}", file=sys.stderr)
            return 2

    def show(self, stack: ExitStack) -> int:
        raise NotImplementedError


class ShowStatus(_Shown):
    """Shows the backlog, what is in flight, dead letters, the newest receipts and the models in force."""

    newest: int = Field(default=20, ge=0, description="receipts that the table lists")
    read: int = Field(
        default=1000, ge=0, description="newest receipts in which it is counted what ended how (each is one read)"
    )
    watch: bool = Field(default=False, description="stay, and show it again each second, until Ctrl-C")

    def show(self, stack: ExitStack) -> int:
        bucket = self.open_bucket(stack)
        queue = stack.enter_context(closing(open_queue(self.queue)))

        def look() -> Overview:
            return overview(bucket, queue, prefix=self.prefix, newest=self.newest, read=self.read)

        if self.as_json:
            print(json.dumps(look().to_dict(), indent=1))
        elif self.watch:
            _stay(look)
        else:
            Console().print(status_screen(look()))
        return 0


class ShowDeadLetters(_Shown):
    """Lists what was dead-lettered and why; reads every receipt, so it takes its time where there are very many."""

    def show(self, stack: ExitStack) -> int:
        bucket = self.open_bucket(stack)
        queue = stack.enter_context(closing(open_dead_letters(self.queue)))
        files = list(dead_lettered(bucket, self.prefix))
        messages = list(unusable_records(bucket))
        waiting = queue.backlog().waiting
        if self.as_json:
            found = {
                "dead_lettered": [asdict(file) for file in files],
                "unusable": [asdict(message) for message in messages],
                "waiting": waiting,
            }
            print(json.dumps(found, indent=1))
            return 0
        console = Console()
        if files:
            table = Table("file", "generation", "attempts", "last error", "when", "scored again", title="Dead-lettered")
            for file in files:
                colour = _COLOURS.get(file.since, "")
                table.add_row(
                    *map(_text, (file.file, file.generation, str(file.attempts), file.error, _short(file.finished))),
                    Text(file.since or "no", colour),
                )
            console.print(table)
            console.print("Once the cause is mended: python -m publisher rescore --dead-lettered", style="dim")
        if messages:
            table = Table("message", "reason", "when", "record", title="Messages that name no input")
            for message in messages:
                table.add_row(*map(_text, (message.id, message.reason, _short(message.recorded), message.record)))
            console.print(table)
        if waiting:
            console.print(f"{waiting} more wait for the publisher, which turns them into receipts.")
        if not (files or messages or waiting):
            console.print("Nothing was dead-lettered.")
        return 0


def status_screen(status: Overview) -> RenderableType:
    """The whole status, for a terminal."""
    backlog = status.backlog
    oldest = backlog.oldest_waiting_seconds
    facts = Table.grid(padding=(0, 2))
    facts.add_row("bucket", Text(status.bucket))
    facts.add_row("queue", Text(status.queue))
    facts.add_row(
        "backlog", f"{_number(backlog.waiting)} waiting" + (f", the oldest for {oldest:.0f} s" if oldest else "")
    )
    facts.add_row("in flight", f"{_number(backlog.leased)} with workers, {status.claimed} scored and being recorded")
    facts.add_row("dead letters", f"{_number(backlog.dead)} waiting to become receipts")
    facts.add_row("inputs", f"{status.inputs:,} in the bucket, {status.unanswered:,} of them without a receipt")
    facts.add_row("not inputs", _text(_not_inputs(status)))
    facts.add_row("receipts", f"{status.receipts:,} (with those of earlier contents and of re-scorings)")
    among = "in all" if status.looked_at == status.receipts else f"among the newest {status.looked_at:,}"
    counts = Text(", ").join(
        Text(f"{count:,} {name}", _COLOURS.get(name, "")) for name, count in status.by_status.items()
    )
    facts.add_row("ended as", Text.assemble(counts or "nothing yet", f" ({among})"))
    facts.add_row("unknown texts", _text(_unknown(status, among)))
    models = [f"{model.name} version {model.version} (last at {_short(model.last_used)})" for model in status.models]
    facts.add_row("models", _text("\n".join(models) or "none has scored yet"))
    for refused in status.refused:
        said = f"{refused.alias} names version {refused.version}, which was refused: {refused.reason}"
        facts.add_row("refused", Text(harmless(f"{said} ({refused.worker}, {_short(refused.time)})"), "red"))
    dead = [outcome for outcome in status.newest if outcome.status is Status.DEAD_LETTERED]
    if dead:
        facts.add_row("dead-lettered", _text(_dead_lettered(dead)))
    if not status.newest:
        return facts
    table = Table("file", "status", "rows", "not scored", "model", "seconds", "finished", title="Newest receipts")
    for outcome in status.newest:
        table.add_row(*_row(outcome))
    return Group(facts, table)


def _not_inputs(status: Overview) -> str:
    """How many objects only look like inputs, with the first names and why they are none."""
    named = [f"{other.name}: {other.reason}" for other in status.first_not_inputs[:_NAMED]]
    more = [f"and {status.not_inputs - len(named):,} more"] if status.not_inputs > len(named) else []
    return "\n".join([f"{status.not_inputs:,}", *named, *more])


def _dead_lettered(dead: Sequence[Outcome]) -> str:
    """The first of them, and why."""
    named = [f"{one.source.name}: {one.errors[0].message if one.errors else 'no reason is known'}" for one in dead]
    more = [f"and {len(dead) - _NAMED:,} more: python -m publisher dead-letters"] if len(dead) > _NAMED else []
    return "\n".join([*named[:_NAMED], *more])


def _unknown(status: Overview, among: str) -> str:
    """The rows whose text the model was never shown, by column."""
    counts = ", ".join(f"{rows:,} in {column}" for column, rows in status.unknown.items())
    told = f"{counts} (rows, {among})" if counts else f"none ({among})"
    return told + (f"; not told by the versions of {status.unknown_untold:,} files" if status.unknown_untold else "")


def _row(outcome: Outcome) -> list[Text]:
    name = outcome.source.name + (f" (re-scoring {outcome.source.rescore})" if outcome.source.rescore else "")
    return [
        _text(name),
        Text(outcome.status.value, _COLOURS.get(outcome.status.value, "")),
        Text(f"{outcome.rows:,}", justify="right"),
        Text(f"{outcome.rejected_rows:,}" if outcome.rejected_rows else "", justify="right"),
        Text(outcome.model.version if outcome.model else ""),
        Text(f"{sum(outcome.timings.values()):.2f}" if outcome.timings else "", justify="right"),
        Text(_short(outcome.finished)),
    ]


def _text(text: str) -> Text:
    """As it is: no markup, and no orders to the terminal."""
    return Text(harmless(text))


def _short(time_text: str) -> str:
    return time_text[:19].replace("T", " ")


def _number(count: int | None) -> str:
    return "an unknown number" if count is None else f"{count:,}"


def _stay(look: Callable[[], Overview]) -> None:
    try:
        with Live(status_screen(look()), screen=False, auto_refresh=False) as live:
            while True:
                time.sleep(_REFRESH)
                live.update(status_screen(look()), refresh=True)
    except KeyboardInterrupt:
        return


COMMANDS: dict[str, type[Command]] = {"status": ShowStatus, "dead-letters": ShowDeadLetters}
