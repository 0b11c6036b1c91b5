"""`python -m publisher rescore`: scores files again on purpose, with today's models."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from datetime import datetime
from itertools import islice

from pydantic import Field, field_validator
from pydantic_settings import CliUnknownArgs, SettingsConfigDict

from edge.command import Command
from edge.log import start_log
from edge.terminal import harmless
from ledger.commit import read_receipt
from ledger.names import RECEIPTS, is_input, parse_key
from ledger.receipt import Status
from publisher.commands.settings import Places
from publisher.inputs import Standing, event_of, standings
from transport.bucket import Bucket, BucketError
from transport.event import ObjectEvent
from transport.open import open_queue
from transport.queue import Queue, QueueError

BATCH = 1000  # events per publish
LISTED = 20  # names that are printed


class UnknownName(Exception):
    """A name that is no input of this bucket; the text names the nearest that are."""


class Rescore(Places):
    """Scores files again with today's models: rescore NAME…, or a choice by the options below.

    NAME… are the names of inputs as they lie in the bucket. Options narrow the choice: with names, among those, else
    among all inputs. The new receipt stands beside the earlier ones; the output becomes that of the new scoring.
    """

    model_config = SettingsConfigDict(**{**Places.model_config, "cli_ignore_unknown_args": True})

    names: CliUnknownArgs = Field(default=[], description="inputs, by their names in the bucket")
    dead_lettered: bool = Field(default=False, description="those whose newest receipt says dead-lettered")
    rejected: bool = Field(default=False, description="those whose newest receipt says rejected")
    since: datetime | None = Field(
        default=None, description="those whose newest receipt was written at this time or later, like 2026-03-31"
    )
    all: bool = Field(default=False, description="every file that has a receipt")
    dry_run: bool = Field(default=False, description="say what would be scored again, and publish nothing")

    @field_validator("names")
    @classmethod
    def _no_unknown_options(cls, names: list[str]) -> list[str]:
        if "--" in names:
            names.remove("--")
        elif unknown := [name for name in names if name.startswith("-")]:
            raise ValueError(f"{unknown[0]} is not an option; rescore --help lists them (a name may follow --)")
        return names

    def run(self) -> int:
        start_log("publisher", self.log_level)
        if not (self.names or self.dead_lettered or self.rejected or self.since or self.all):
            return _refuse("say which files: rescore NAME…, --dead-lettered, --rejected, --since DATE or --all", 2)
        if nothing := self.no_bucket():
            return _refuse(nothing, 2)
        try:
            with ExitStack() as stack:
                bucket = self.open_bucket(stack)
                queue = None if self.dry_run else stack.enter_context(closing(open_queue(self.queue)))
                if queue is not None:
                    queue.verify()  # a topic without its subscription would lose the messages
                return self._publish(self._choose(bucket), queue)
        except UnknownName as error:
            return _refuse(str(error), 1)
        except (BucketError, QueueError) as error:
            return _refuse(f"{error}. Files published before that are scored; running this again does no harm", 2)

    def _publish(self, events: Iterator[ObjectEvent], queue: Queue | None) -> int:
        count = 0
        while batch := list(islice(events, BATCH)):
            if queue is not None:
                queue.publish(event.to_message() for event in batch)
            for event in batch[: max(0, LISTED - count)]:
                print(harmless(f"  {event.name}  generation {event.generation}"))
            count += len(batch)
        if not count:
            return _refuse("no file fits; a file without a receipt is scored anyway, and needs no rescore", 1)
        if count > LISTED:
            print(f"  … and {count - LISTED} more")
        files = "1 file" if count == 1 else f"{count} files"
        print(f"{files} would be scored again" if queue is None else f"{files} published, to be scored again")
        return 0

    def _choose(self, bucket: Bucket) -> Iterator[ObjectEvent]:
        if self.names:
            found: Iterable[Standing] = find(bucket, self.names, self.prefix)
        else:
            found = standings(
                (info for info in bucket.objects(self.prefix, recursive=False) if is_input(info.name, self.prefix)),
                bucket.objects(RECEIPTS + self.prefix, recursive=False),
            )
        statuses = {Status.DEAD_LETTERED} if self.dead_lettered else set()
        statuses |= {Status.REJECTED} if self.rejected else set()
        since = self.since.astimezone().timestamp() if self.since else None
        for standing in found:
            if since is not None and standing.receipt_time < since:
                continue
            if statuses and not _ended(bucket, standing, statuses):
                continue
            if event := rescoring_of(standing, bucket.name):
                yield event


def find(bucket: Bucket, names: Iterable[str], prefix: str = "") -> list[Standing]:
    """How these inputs stand. Raises UnknownName for the first that is none, naming the nearest that are."""
    return [_find(bucket, name, prefix) for name in dict.fromkeys(names)]


def rescoring_of(standing: Standing, bucket: str) -> ObjectEvent | None:
    """The event that has an input scored once more; None where it has no receipt, and so is to be scored anyway."""
    if standing.receipt is None:
        return None
    return event_of(standing.input, bucket, "rescore", rescore=standing.receipt.generation.rescore + 1)


def _find(bucket: Bucket, name: str, prefix: str) -> Standing:
    info = bucket.stat(name) if is_input(name, prefix) else None
    if info is None:
        inputs = (other.name for other in bucket.objects(prefix, recursive=False) if is_input(other.name, prefix))
        near = difflib.get_close_matches(name, inputs, n=3)
        advice = f"did you mean {' or '.join(map(repr, near))}?" if near else "and nothing has a name like it"
        raise UnknownName(f"there is no input {name!r} in {bucket.url}; {advice}")
    standing = Standing(info)
    for receipt in bucket.objects(f"{RECEIPTS}{name}@", recursive=False):
        key = parse_key(receipt.name, RECEIPTS)
        if key is not None and key.name == name:
            standing = standing.with_receipt(key, receipt.created)
    return standing


def _ended(bucket: Bucket, standing: Standing, statuses: set[Status]) -> bool:
    receipt = read_receipt(bucket, standing.receipt) if standing.receipt else None
    return receipt is not None and receipt.status in statuses


def _refuse(text: str, status: int) -> int:
    print(f"python -m publisher rescore: {text}", file=sys.stderr)
    return status


COMMANDS: dict[str, type[Command]] = {"rescore": Rescore}
