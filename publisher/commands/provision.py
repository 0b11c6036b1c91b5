"""`python -m publisher provision`: makes on Google Cloud what the publisher and the workers need there.

Roles that its user needs: - roles/pubsub.admin in the queue's project: topics, subscriptions, and who may use them; -
roles/storage.admin on the bucket: its notifications; - roles/browser (resourcemanager.projects.get) in both projects:
which accounts Google's services have there.

--check and --dry-run only read: pubsub.topics.get and .getIamPolicy, pubsub.subscriptions.get and .getIamPolicy,
storage.buckets.get and resourcemanager.projects.get are enough for them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from edge.command import Command
from edge.log import start_log
from edge.options import Seconds
from publisher.commands.settings import Places
from publisher.provision.plan import (
    Action,
    Agent,
    Grant,
    NotHere,
    Notification,
    PlanStep,
    Subscription,
    Topic,
    plan,
    wanted,
)
from transport.bucket import BucketError
from transport.queue import Policy, QueueError
from transport.queues.pubsub.names import SCHEME, Names

if TYPE_CHECKING:
    from publisher.provision.pubsub import PubSubAdmin
    from publisher.provision.storage import StorageAdmin

_DONE = {Action.CREATE: "created", Action.UPDATE: "updated"}
_TO_DO = {Action.CREATE: "missing", Action.UPDATE: "differs"}
_PLANNED = {Action.CREATE: "would create", Action.UPDATE: "would update"}
_DEFAULT = Policy()


class Provision(Places):
    """Makes topics, subscriptions, grants and the bucket's notification on Google Cloud, or compares them.

    May be repeated at any time: what is as it should be is left alone. Nothing is ever deleted.
    Exit 1: something differs (--check), or has to be put right by hand; 2: it could not be done.
    """

    lease: Seconds = Field(
        default=_DEFAULT.lease, ge=10, le=600, description="ack deadline: how soon a dead worker's file comes again"
    )
    max_delivery_attempts: int = Field(
        default=_DEFAULT.max_delivery_attempts, ge=5, le=100, description="deliveries before a file is dead-lettered"
    )
    min_backoff: Seconds = Field(
        default=_DEFAULT.min_backoff, ge=0, le=600, description="pause before the second delivery"
    )
    max_backoff: Seconds = Field(default=_DEFAULT.max_backoff, ge=0, le=600, description="longest pause of all")
    dry_run: bool = Field(default=False, description="say what would be done, and do nothing")
    check: bool = Field(default=False, description="compare only, and exit 1 where something differs")

    def run(self) -> int:
        start_log("publisher", self.log_level)
        if not self.queue.startswith(SCHEME):
            return self._nothing_needed()
        if self.dry_run and self.check:
            return _refuse("--dry-run or --check: choose one of them")
        if self.min_backoff > self.max_backoff:
            return _refuse(f"--min-backoff ({self.min_backoff:g} s) is above --max-backoff ({self.max_backoff:g} s)")
        try:
            with ExitStack() as stack:
                return self._run(stack, Names.parse(self.queue))
        except (BucketError, QueueError) as error:
            return _refuse(str(error))

    def _nothing_needed(self) -> int:
        print(f"nothing is needed: the queue {self.queue} is a file, made when it is first used")
        if self.bucket.startswith("gs://"):
            print(
                f"{self.bucket} can send notifications to Pub/Sub only: new files are found by the publisher, at each"
                " --interval"
            )
        return 0

    def _run(self, stack: ExitStack, names: Names) -> int:
        # Imported here: Google's clients are heavy, and the publisher's other commands have no use for these.
        from publisher.provision.pubsub import PubSubAdmin
        from publisher.provision.storage import StorageAdmin

        bucket = self.bucket.removeprefix("gs://").rstrip("/") if self.bucket.startswith("gs://") else None
        policy = Policy(self.lease, self.max_delivery_attempts, self.min_backoff, self.max_backoff)
        pubsub = stack.enter_context(closing(PubSubAdmin(names)))
        found = pubsub.find()
        unavailable = dict(found.unavailable)
        agents: dict[Agent, str | None] = {}
        notifications: tuple[Notification, ...] = ()
        storage: StorageAdmin | None = None
        if bucket is not None or Grant not in unavailable:
            storage = stack.enter_context(closing(StorageAdmin(bucket)))
            try:
                notifications = storage.notifications() if bucket is not None else ()
            except NotHere as reason:
                unavailable[Notification] = str(reason)
            try:
                agents = {} if Grant in unavailable else dict(storage.agents(names))
            except NotHere as reason:
                unavailable[Grant] = str(reason)
        found = replace(found, notifications=notifications, unavailable=unavailable)
        steps = plan(wanted(names, policy, bucket, self.prefix, agents), found)
        if self.check or self.dry_run:
            show(steps, _TO_DO if self.check else _PLANNED)
            differing = [step for step in steps if step.differs]
            return 1 if differing and (self.check or any(step.action is Action.BY_HAND for step in differing)) else 0
        show([carry_out(step, pubsub, storage) for step in steps], _DONE)
        return 1 if any(step.action is Action.BY_HAND for step in steps) else 0


def carry_out(step: PlanStep, pubsub: PubSubAdmin, storage: StorageAdmin | None) -> PlanStep:
    """Does what the step says; gives the step as it went. Raises BucketError and QueueError."""
    resource = step.resource
    if step.action not in (Action.CREATE, Action.UPDATE):
        return step
    try:
        if isinstance(resource, Topic):
            pubsub.make_topic(resource)
        elif isinstance(resource, Subscription) and step.action is Action.CREATE:
            pubsub.make_subscription(resource)
        elif isinstance(resource, Subscription):
            pubsub.change_subscription(resource, step.changed)
        elif isinstance(resource, Grant):
            pubsub.grant(resource)
        elif storage is not None:
            storage.notify(resource)
    except NotHere as reason:
        return replace(step, action=Action.SKIP, why=(*step.why, str(reason)))
    return step


def show(steps: Sequence[PlanStep], words: dict[Action, str]) -> None:
    """One line per resource, and below it what differs, or why it is passed over (said once)."""
    width = max(len(word) for word in (*words.values(), *Action))
    said: set[str] = set()
    for step in steps:
        print(f"{words.get(step.action, step.action.value):<{width}}  {step.resource}")
        for reason in step.why:
            if step.action is not Action.SKIP or reason not in said:
                print(f"{'':<{width}}    {reason}")
            said.add(reason)


def _refuse(text: str) -> int:
    print(f"python -m publisher provision: {text}", file=sys.stderr)
    return 2


COMMANDS: dict[str, type[Command]] = {"provision": Provision}
