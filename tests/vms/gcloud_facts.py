"""The fleet that gcloud.sh makes, out of the commands that it prints with --dry-run."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.vms.facts import Fleet, Grant, last

Flags = dict[str, str]


def commands(printed: str) -> list[list[str]]:
    """The commands, each as its words; one may go over several lines."""
    return [shlex.split(text) for text in re.split(r"\n(?=gcloud )", printed.strip())]


def fleet_of(given: list[list[str]]) -> Fleet:
    """Fails on a command, and on a flag, that is not known here."""
    fleet = Fleet()
    for words in given:
        names = [word for word in words[1:] if not word.startswith("--")]
        flags: Flags = {}
        for word in words[1:]:
            if word.startswith("--"):
                name, _, value = word[2:].partition("=")
                assert name not in flags, f"--{name} twice in {words}"
                flags[name] = value
        flags.pop("project", None)
        known = next((verb for verb in READERS if names[: len(verb.split())] == verb.split()), None)
        assert known is not None, f"a command that the module may have no counterpart for: {shlex.join(words)}"
        READERS[known](fleet, names[len(known.split()) :], flags)
        assert not flags, f"flags that nothing compares: {flags} of {shlex.join(words)}"
    return fleet


def nothing(_fleet: Fleet, _names: list[str], flags: Flags) -> None:
    """What Terraform does otherwise: its README has these as steps before the first apply."""
    flags.clear()


def seconds(text: str) -> int:
    units = {"s": 1, "d": 86_400}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)


def topic(fleet: Fleet, names: list[str], _flags: Flags) -> None:
    fleet.add("topic", names[0], {})


def subscription(fleet: Fleet, names: list[str], flags: Flags) -> None:
    dead = flags.pop("dead-letter-topic", None)
    fleet.add(
        "subscription",
        names[0],
        {
            "topic": flags.pop("topic"),
            "filter": flags.pop("message-filter", None),
            "ack deadline": int(flags.pop("ack-deadline")),
            "retention": seconds(flags.pop("message-retention-duration")),
            "expires": flags.pop("expiration-period"),
            "backoff": (flags.pop("min-retry-delay"), flags.pop("max-retry-delay")),
            "dead letters": (dead, int(flags.pop("max-delivery-attempts"))) if dead else None,
        },
    )


def bucket(fleet: Fleet, names: list[str], flags: Flags) -> None:
    settings = {
        "location": flags.pop("location"),
        "uniform": flags.pop("uniform-bucket-level-access") == "",
        "never public": flags.pop("public-access-prevention") == "",
        "soft deletion": seconds(flags.pop("soft-delete-duration")),
    }
    fleet.add("bucket", names[0].removeprefix("gs://"), settings)


def lifecycle(fleet: Fleet, names: list[str], flags: Flags) -> None:
    rules = json.loads(Path(flags.pop("lifecycle-file")).read_text(encoding="utf-8"))["rule"]
    fleet.resources[f"bucket {names[0].removeprefix('gs://')}"]["lifecycle"] = rules


def notification(fleet: Fleet, names: list[str], flags: Flags) -> None:
    settings = {
        "topic": flags.pop("topic"),
        "events": flags.pop("event-types").split(","),
        "payload": flags.pop("payload-format"),
        "prefix": flags.pop("object-prefix", None),
    }
    fleet.add("notification", names[0].removeprefix("gs://"), settings)


def account(fleet: Fleet, names: list[str], flags: Flags) -> None:
    fleet.add("account", names[0], {"title": flags.pop("display-name")})


def repository(fleet: Fleet, names: list[str], flags: Flags) -> None:
    settings = {
        "location": flags.pop("location"),
        "format": flags.pop("repository-format"),
        "immutable": flags.pop("immutable-tags") == "",
        "description": flags.pop("description"),
    }
    fleet.add("repository", names[0], settings)


def health_check(fleet: Fleet, names: list[str], flags: Flags) -> None:
    flags.pop("global")
    settings = {
        "port": int(flags.pop("port")),
        "path": flags.pop("request-path"),
        "every": seconds(flags.pop("check-interval")),
        "timeout": seconds(flags.pop("timeout")),
        "thresholds": (int(flags.pop("healthy-threshold")), int(flags.pop("unhealthy-threshold"))),
    }
    fleet.add("health check", names[0], settings)


def firewall(fleet: Fleet, names: list[str], flags: Flags) -> None:
    settings = {
        "network": flags.pop("network"),
        "direction": flags.pop("direction"),
        "allows": flags.pop("allow").split(","),
        "from": set(flags.pop("source-ranges").split(",")),
        "to": set(flags.pop("target-service-accounts").split(",")),
    }
    fleet.add("firewall rule", names[0], settings)


def template(fleet: Fleet, names: list[str], flags: Flags) -> None:
    image = flags.pop("image", None)
    metadata = dict(each.split("=", 1) for each in flags.pop("metadata").split(","))
    for each in flags.pop("metadata-from-file").split(","):
        name, path = each.split("=", 1)
        metadata[name] = Path(path).read_text(encoding="utf-8")
    settings = {
        "machine": flags.pop("machine-type"),
        "image": image or f"projects/{flags.pop('image-project')}/global/images/family/{flags.pop('image-family')}",
        "disk": (flags.pop("boot-disk-type"), int(flags.pop("boot-disk-size").removesuffix("GB"))),
        "network": (flags.pop("network"), flags.pop("subnet"), flags.pop("region")),
        "external address": flags.pop("no-address", None) is None,
        "model": flags.pop("provisioning-model"),
        "at the end": flags.pop("instance-termination-action", None),
        "restarts": flags.pop("no-restart-on-failure", None) is None and flags.pop("restart-on-failure") == "",
        "maintenance": flags.pop("maintenance-policy"),
        "shielded": [flags.pop(f"shielded-{what}") == "" for what in ("secure-boot", "vtpm", "integrity-monitoring")],
        "account": flags.pop("service-account"),
        "scopes": flags.pop("scopes").split(","),
        "metadata": metadata,
    }
    fleet.add("template", _program(names[0]), settings)


def group(fleet: Fleet, names: list[str], flags: Flags) -> None:
    size = int(flags.pop("size"))
    assert _program(flags.pop("template")) == names[0]
    settings = {
        "region": flags.pop("region"),
        "vms": flags.pop("base-instance-name"),
        "size": size,
        "shape": (flags.pop("target-distribution-shape").upper(), flags.pop("instance-redistribution-type").upper()),
        "health check": (flags.pop("health-check"), int(flags.pop("initial-delay"))),
    }
    fleet.add("group", names[0], settings)


def update(fleet: Fleet, names: list[str], flags: Flags) -> None:
    flags.pop("region")
    assert _program(flags.pop("version").removeprefix("template=")) == names[0]
    how = [flags.pop(name).upper() for name in ("type", "minimal-action", "replacement-method")]
    fleet.resources[f"group {names[0]}"] |= {
        "update": tuple(how),
        "surge": (int(flags.pop("max-surge")), int(flags.pop("max-unavailable"))),
    }


def autoscaler(fleet: Fleet, names: list[str], flags: Flags) -> None:
    flags.pop("region")
    scale_in = dict(each.split("=") for each in flags.pop("scale-in-control").split(","))
    settings = {
        "mode": flags.pop("mode").upper(),
        "vms": (int(flags.pop("min-num-replicas")), int(flags.pop("max-num-replicas"))),
        "starts within": int(flags.pop("cool-down-period")),
        "metric": (flags.pop("update-stackdriver-metric"), flags.pop("stackdriver-metric-filter")),
        "share of one": float(flags.pop("stackdriver-metric-single-instance-assignment")),
        "scale in": (int(scale_in["max-scaled-in-replicas-percent"]), int(scale_in["time-window"])),
    }
    fleet.add("autoscaler", names[0], settings)
    assert fleet.resources[f"group {names[0]}"]["size"] == settings["vms"][0]
    fleet.resources[f"group {names[0]}"]["size"] = None  # the autoscaler's from now on


def log_metric(fleet: Fleet, names: list[str], flags: Flags) -> None:
    fleet.add("log metric", names[0], {"description": flags.pop("description"), "filter": flags.pop("log-filter")})


def alert(fleet: Fleet, _names: list[str], flags: Flags) -> None:
    policy: dict[str, Any] = yaml.safe_load(flags.pop("policy"))
    conditions = {}
    for condition in policy["conditions"]:
        promql = condition["conditionPrometheusQueryLanguage"]
        conditions[condition["displayName"]] = (promql["query"], promql["duration"], promql["evaluationInterval"])
    settings = {
        "severity": policy["severity"],
        "combiner": policy["combiner"],
        "channels": policy["notificationChannels"],
        "text": policy["documentation"]["content"],
        "conditions": conditions,
    }
    fleet.add("alert", policy["displayName"], settings)


def grants(kind: str) -> Callable[[Fleet, list[str], Flags], None]:
    def read(fleet: Fleet, names: list[str], flags: Flags) -> None:
        flags.pop("location", None)
        condition = flags.pop("condition", "None")
        if condition != "None":
            title, _, expression = condition.removeprefix("title=").partition(",expression=")
            condition = f"{title}: {expression}"
        on = f"{kind} {last(names[0])}"
        fleet.grants.add(Grant(flags.pop("role"), on, flags.pop("member"), "" if condition == "None" else condition))

    return read


def _program(template_name: str) -> str:
    """A template's name without what tells it from the templates before it."""
    name, _, digest = template_name.rpartition("-")
    assert re.fullmatch("[0-9a-f]{10}", digest)
    return name


READERS: dict[str, Callable[[Fleet, list[str], Flags], None]] = {
    "services enable": nothing,
    "storage service-agent": nothing,
    "beta services identity create": nothing,
    "storage buckets create": bucket,
    "storage buckets update": lifecycle,
    "storage buckets notifications create": notification,
    "storage buckets add-iam-policy-binding": grants("bucket"),
    "pubsub topics create": topic,
    "pubsub topics add-iam-policy-binding": grants("topic"),
    "pubsub subscriptions create": subscription,
    "pubsub subscriptions add-iam-policy-binding": grants("subscription"),
    "iam service-accounts create": account,
    "artifacts repositories create": repository,
    "artifacts repositories add-iam-policy-binding": grants("repository"),
    "projects add-iam-policy-binding": grants("project"),
    "compute health-checks create http": health_check,
    "compute firewall-rules create": firewall,
    "compute instance-templates create": template,
    "compute instance-groups managed create": group,
    "compute instance-groups managed rolling-action start-update": update,
    "compute instance-groups managed set-autoscaling": autoscaler,
    "logging metrics create": log_metric,
    "monitoring policies create": alert,
}
