"""Which permission a call needs, and which permissions a role brings, as far as this house uses them."""

from __future__ import annotations

import json
import re
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from tests.cloud.pubsub_proxy import Called
from tests.contract.fault_proxy import Request

# https://cloud.google.com/storage/docs/access-control/iam-roles, https://cloud.google.com/pubsub/docs/access-control
# What the roles bring for whole projects (resourcemanager…) is of no use on one bucket or subscription.
ROLES = {
    "roles/storage.objectViewer": {"storage.objects.get", "storage.objects.list"},
    "roles/storage.objectUser": {
        "storage.objects.get",
        "storage.objects.list",
        "storage.objects.create",
        "storage.objects.delete",
        "storage.objects.update",
        "storage.objects.restore",
    },
    "roles/pubsub.publisher": {"pubsub.topics.publish"},
    "roles/pubsub.subscriber": {"pubsub.subscriptions.consume", "pubsub.topics.attachSubscription"},
    "roles/pubsub.viewer": {"pubsub.subscriptions.get", "pubsub.topics.get", "pubsub.snapshots.get"},
}
_PUBSUB = {
    "Publisher/Publish": "pubsub.topics.publish",
    "Publisher/GetTopic": "pubsub.topics.get",
    "Subscriber/GetSubscription": "pubsub.subscriptions.get",
    "Subscriber/StreamingPull": "pubsub.subscriptions.consume",
    "Subscriber/Pull": "pubsub.subscriptions.consume",
    "Subscriber/Acknowledge": "pubsub.subscriptions.consume",
    "Subscriber/ModifyAckDeadline": "pubsub.subscriptions.consume",
}
_FOR_ANYBODY = {"/google.iam.v1.IAMPolicy/TestIamPermissions"}  # it says what the caller may do


class Need(NamedTuple):
    """A permission on an object (by its name), a subscription or a topic; `""` is the bucket itself."""

    permission: str
    resource: str


class Grant(NamedTuple):
    """A role on the objects that begin with `resource`, or on that subscription or topic."""

    role: str
    resource: str = ""

    def covers(self, need: Need) -> bool:
        if need.permission not in ROLES[self.role]:
            return False
        if self.role.startswith("roles/storage."):
            return need.resource.startswith(self.resource)
        return need.resource == self.resource


def of_pubsub(called: Called) -> set[Need]:
    """Raises KeyError for a method that nobody has thought of."""
    if called.method in _FOR_ANYBODY:
        return set()
    return {Need(_PUBSUB[called.method], called.resource)}


def of_storage(request: Request) -> set[Need]:
    """What a request to the JSON API needs. Raises ValueError for one that nobody has thought of."""
    url = urlsplit(request.path)
    query = parse_qs(url.query)
    # An upload or a copy over an object that is there deletes what it replaces.
    write = {"storage.objects.create"} | (
        {"storage.objects.delete"} if query.get("ifGenerationMatch") != ["0"] else set()
    )
    if url.path.startswith(("/upload/", "/resumable/upload/")):
        if request.method == "PUT":  # a further part: allowed when the upload began
            return set()
        named = re.search(rb'"name": ?"((?:[^"\\]|\\.)*)"', request.start)
        name = json.loads(b'"' + named[1] + b'"') if named else query["name"][0]
        return {Need(permission, name) for permission in write}
    path = url.path.removeprefix("/download")
    if copied := re.fullmatch(r"/storage/v1/b/[^/]+/o/([^/]+)/(?:rewriteTo|copyTo)/b/[^/]+/o/([^/]+)", path):
        source, target = map(unquote, copied.groups())
        return {Need("storage.objects.get", source)} | {Need(permission, target) for permission in write}
    if found := re.fullmatch(r"/storage/v1/b/[^/]+/o/([^/]+)", path):
        verb = {"GET": "get", "HEAD": "get", "DELETE": "delete", "PATCH": "update", "PUT": "update"}[request.method]
        return {Need(f"storage.objects.{verb}", unquote(found[1]))}
    if re.fullmatch(r"/storage/v1/b/[^/]+/o", path) and request.method == "GET":
        return {Need("storage.objects.list", "")}
    if re.fullmatch(r"/storage/v1/b/[^/]+", path) and request.method == "GET":
        return {Need("storage.buckets.get", "")}
    raise ValueError(f"which permission does this need? {request.method} {request.path}")
