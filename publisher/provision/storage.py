"""The bucket's notifications, and the accounts with which Google's services act: what is there, and how it is made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from google.api_core.exceptions import Forbidden, NotFound
from google.api_core.retry import Retry

from publisher.provision.plan import Agent, NotHere, Notification
from transport.bucket import AccessRefused, BucketError
from transport.buckets.gcs.api import Api
from transport.buckets.gcs.faults import FAULTS, explain
from transport.queues.pubsub.names import Names

TIMEOUT = (10.0, 30.0)  # seconds to connect, and without a byte
PATIENCE = 60.0
GRANT_SECONDS = 120.0  # until a fresh grant is known everywhere
NO_NOTIFICATIONS = (
    "this storage server has no notificationConfigs, as fake-gcs-server has none: it publishes what its options say"
    " (-event.pubsub-project-id, -event.pubsub-topic)"
)
NO_ACCOUNTS = "this storage server does not tell the accounts of Google's services"


class StorageAdmin:
    """Notifications of one bucket, and Google's accounts; without a bucket only these. Methods raise BucketError."""

    def __init__(self, bucket: str | None) -> None:
        self._bucket = bucket
        self._api = Api(bucket or "none", TIMEOUT, PATIENCE)

    def close(self) -> None:
        self._api.client.close()

    def notifications(self) -> tuple[Notification, ...]:
        """The bucket's notifications, to any topic. Raises NotHere where a server has none, AccessRefused."""

        def attempt(_again: bool) -> tuple[Notification, ...]:
            self._described()
            try:
                return tuple(
                    _notification(each, self._name) for each in self._api.bucket.list_notifications(retry=None)
                )
            except NotFound as error:
                raise _not_here(error, NO_NOTIFICATIONS) from error
            except Forbidden as error:
                raise self._refused(error) from error
            except ValueError as error:  # one that the library cannot read, to a topic of an unusual project
                raise BucketError(f"the notifications of gs://{self._name} cannot be read: {error}") from error

        return self._api.call("list the notifications", attempt)

    def notify(self, wanted: Notification) -> None:
        """Makes the notification; waits while Cloud Storage does not know yet that it may publish."""
        topic = re.fullmatch(r"projects/([^/]+)/topics/([^/]+)", wanted.topic)
        assert topic is not None, wanted.topic  # noqa: S101 - made by Names

        def attempt(_again: bool) -> None:
            made = self._api.bucket.notification(
                topic_name=topic[2],
                topic_project=topic[1],
                event_types=list(wanted.events),
                blob_name_prefix=wanted.prefix or None,
                payload_format=wanted.payload,
            )
            made.create(timeout=TIMEOUT)

        may_not_yet = Retry(predicate=_may_not_publish_yet, initial=2.0, maximum=10.0, timeout=GRANT_SECONDS)
        try:
            # Not tried again after a lost answer: each try may make one more.
            may_not_yet(attempt)(False)
        except Forbidden as error:
            raise self._refused(error) from error
        except FAULTS as error:
            raise explain(error, self._name, "make the notification") from error

    def agents(self, names: Names) -> Mapping[Agent, str | None]:
        """The accounts as members of a policy. Raises NotHere."""
        found: dict[Agent, str | None] = {}
        # Cloud Storage tells its own account, and with it the project's number, which names the one of Pub/Sub.
        own = self._account(names.project)
        number = re.match(r"service-(\d+)@", own)
        if number is None:
            raise NotHere(f"the number of the project {names.project} cannot be told from {own!r}; see docs/cloud.md")
        found[Agent.PUBSUB] = f"serviceAccount:service-{number[1]}@gcp-sa-pubsub.iam.gserviceaccount.com"
        if self._bucket is not None:
            found[Agent.STORAGE] = f"serviceAccount:{self._account(str(self._described().project_number))}"
        return found

    def _account(self, project: str) -> str:
        def attempt(_again: bool) -> str:
            try:
                return str(self._api.client.get_service_account_email(project, timeout=TIMEOUT, retry=None))
            except NotFound as error:
                raise _not_here(error, NO_ACCOUNTS) from error
            except Forbidden as error:
                raise AccessRefused(
                    f"Cloud Storage's account in the project {project} may not be looked up: this account needs"
                    f" resourcemanager.projects.get there (roles/browser has it): {error.message}"
                ) from error

        return self._api.call("look up the service agent", attempt)

    @property
    def _name(self) -> str:
        return self._api.bucket_name

    def _described(self) -> Any:
        try:
            return self._api.client.get_bucket(self._name, timeout=TIMEOUT, retry=None)
        except NotFound as error:
            raise AccessRefused(
                f"there is no bucket gs://{self._name}; make it, in the region of your choice:"
                f" gcloud storage buckets create gs://{self._name} --location=REGION --uniform-bucket-level-access"
            ) from error
        except Forbidden as error:
            raise self._refused(error) from error

    def _refused(self, error: Forbidden) -> AccessRefused:
        return AccessRefused(
            f"the notifications of gs://{self._name} may not be seen or made: this account needs roles/storage.admin"
            f" on the bucket ({error.message})"
        )


def _notification(there: Any, bucket: str) -> Notification:
    return Notification(
        bucket,
        f"projects/{there.topic_project}/topics/{there.topic_name}",
        there.blob_name_prefix or "",
        tuple(sorted(there.event_types or ())),
        there.payload_format,
        f"projects/_/buckets/{bucket}/notificationConfigs/{there.notification_id}",
    )


def _not_here(error: NotFound, reason: str) -> Exception:
    """A path that a server does not know is answered without Google's description of an error."""
    return error if error.errors else NotHere(reason)


def _may_not_publish_yet(error: BaseException) -> bool:
    return isinstance(error, Forbidden) and "permission to publish" in error.message
