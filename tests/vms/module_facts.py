"""The fleet that the Terraform module makes, out of its resources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.vms.facts import Fleet, Grant, Settings, last

Resource = dict[str, Any]


def fleet_of(resources: list[Resource]) -> Fleet:
    """Fails on a resource of a kind that is not known here."""
    fleet = Fleet()
    for resource in resources:
        READERS[resource["type"].removeprefix("google_")](fleet, resource["values"], str(resource.get("index", "")))
    return fleet


def topic(fleet: Fleet, v: Settings, _: str) -> None:
    fleet.add("topic", v["name"], {})


def subscription(fleet: Fleet, v: Settings, _: str) -> None:
    dead = v["dead_letter_policy"]
    fleet.add(
        "subscription",
        v["name"],
        {
            "topic": last(v["topic"]),
            "filter": v["filter"] if dead else None,  # the mock makes one up where there is none
            "ack deadline": v["ack_deadline_seconds"],
            "retention": int(v["message_retention_duration"].rstrip("s")),
            "expires": v["expiration_policy"][0]["ttl"] or "never",
            "backoff": (v["retry_policy"][0]["minimum_backoff"], v["retry_policy"][0]["maximum_backoff"]),
            "dead letters": (last(dead[0]["dead_letter_topic"]), dead[0]["max_delivery_attempts"]) if dead else None,
        },
    )


def bucket(fleet: Fleet, v: Settings, _: str) -> None:
    rules = [
        {
            "action": {"type": rule["action"][0]["type"]},
            "condition": {"age": rule["condition"][0]["age"]}
            | (
                {"matchesPrefix": rule["condition"][0]["matches_prefix"]}
                if rule["action"][0]["type"] == "Delete"
                else {}
            ),
        }
        for rule in v["lifecycle_rule"]
    ]
    fleet.add(
        "bucket",
        v["name"],
        {
            "location": v["location"],
            "uniform": v["uniform_bucket_level_access"],
            "never public": v["public_access_prevention"] == "enforced",
            "soft deletion": v["soft_delete_policy"][0]["retention_duration_seconds"],
            "lifecycle": rules,
        },
    )


def notification(fleet: Fleet, v: Settings, _: str) -> None:
    settings = {
        "topic": last(v["topic"]),
        "events": v["event_types"],
        "payload": {"JSON_API_V1": "json"}[v["payload_format"]],
        "prefix": v["object_name_prefix"] or None,
    }
    fleet.add("notification", v["bucket"], settings)


def account(fleet: Fleet, v: Settings, _: str) -> None:
    fleet.add("account", v["account_id"], {"title": v["display_name"]})


def repository(fleet: Fleet, v: Settings, _: str) -> None:
    settings = {
        "location": v["location"],
        "format": v["format"].lower(),
        "immutable": v["docker_config"][0]["immutable_tags"],
        "description": v["description"],
    }
    fleet.add("repository", v["repository_id"], settings)


def health_check(fleet: Fleet, v: Settings, _: str) -> None:
    settings = {
        "port": v["http_health_check"][0]["port"],
        "path": v["http_health_check"][0]["request_path"],
        "every": v["check_interval_sec"],
        "timeout": v["timeout_sec"],
        "thresholds": (v["healthy_threshold"], v["unhealthy_threshold"]),
    }
    fleet.add("health check", v["name"], settings)


def firewall(fleet: Fleet, v: Settings, _: str) -> None:
    [allowed] = v["allow"]
    settings = {
        "network": v["network"],
        "direction": v["direction"],
        "allows": [f"{allowed['protocol']}:{port}" for port in allowed["ports"]],
        "from": set(v["source_ranges"]),
        "to": set(v["target_service_accounts"]),
    }
    fleet.add("firewall rule", v["name"], settings)


def template(fleet: Fleet, v: Settings, _: str) -> None:
    [disk], [network], [scheduling] = v["disk"], v["network_interface"], v["scheduling"]
    spot = scheduling["provisioning_model"] == "SPOT"
    assert spot == scheduling["preemptible"]
    shielded = v["shielded_instance_config"][0]
    settings = {
        "machine": v["machine_type"],
        "image": disk["source_image"],
        "disk": (disk["disk_type"], disk["disk_size_gb"]),
        "network": (network["network"], network["subnetwork"], v["region"]),
        "external address": bool(network["access_config"]),
        "model": scheduling["provisioning_model"],
        "at the end": scheduling["instance_termination_action"] if spot else None,
        "restarts": scheduling["automatic_restart"],
        "maintenance": scheduling["on_host_maintenance"],
        "shielded": [shielded[f"enable_{what}"] for what in ("secure_boot", "vtpm", "integrity_monitoring")],
        "account": v["service_account"][0]["email"],
        "scopes": [last(scope) for scope in v["service_account"][0]["scopes"]],
        "metadata": v["metadata"],
    }
    fleet.add("template", v["name_prefix"].rstrip("-"), settings)


def group(fleet: Fleet, v: Settings, index: str) -> None:
    [update], [healing] = v["update_policy"], v["auto_healing_policies"]
    settings = {
        "region": v["region"],
        "vms": v["base_instance_name"],
        "size": v["target_size"] if index == "publisher" else None,  # else the autoscaler's
        "shape": (v["distribution_policy_target_shape"], update["instance_redistribution_type"]),
        "health check": (last(healing["health_check"]), healing["initial_delay_sec"]),
        "update": (update["type"], update["minimal_action"], update["replacement_method"]),
        "surge": (update["max_surge_fixed"], update["max_unavailable_fixed"]),
    }
    fleet.add("group", v["name"], settings)


def autoscaler(fleet: Fleet, v: Settings, _: str) -> None:
    [policy] = v["autoscaling_policy"]
    [metric], [scale_in] = policy["metric"], policy["scale_in_control"]
    settings = {
        "mode": policy["mode"],
        "vms": (policy["min_replicas"], policy["max_replicas"]),
        "starts within": policy["cooldown_period"],
        "metric": (metric["name"], metric["filter"]),
        "share of one": metric["single_instance_assignment"],
        "scale in": (scale_in["max_scaled_in_replicas"][0]["percent"], scale_in["time_window_sec"]),
    }
    fleet.add("autoscaler", last(v["target"]), settings)


def log_metric(fleet: Fleet, v: Settings, _: str) -> None:
    fleet.add("log metric", v["name"], {"description": v["description"], "filter": v["filter"]})


def alert(fleet: Fleet, v: Settings, _: str) -> None:
    conditions = {}
    for condition in v["conditions"]:
        [promql] = condition["condition_prometheus_query_language"]
        conditions[condition["display_name"]] = (promql["query"], promql["duration"], promql["evaluation_interval"])
    settings = {
        "severity": v["severity"],
        "combiner": v["combiner"],
        "channels": v["notification_channels"],
        "text": v["documentation"][0]["content"],
        "conditions": conditions,
    }
    fleet.add("alert", v["display_name"], settings)


def grants(kind: str, name: str) -> Callable[[Fleet, Settings, str], None]:
    def read(fleet: Fleet, v: Settings, _: str) -> None:
        condition = v.get("condition") or [{"title": "", "expression": ""}]
        text = f"{condition[0]['title']}: {condition[0]['expression']}" if condition[0]["title"] else ""
        fleet.grants.add(Grant(v["role"], f"{kind} {v[name]}", v["member"], text))

    return read


READERS: dict[str, Callable[[Fleet, Settings, str], None]] = {
    "pubsub_topic": topic,
    "pubsub_subscription": subscription,
    "storage_bucket": bucket,
    "storage_notification": notification,
    "service_account": account,
    "artifact_registry_repository": repository,
    "compute_health_check": health_check,
    "compute_firewall": firewall,
    "compute_instance_template": template,
    "compute_region_instance_group_manager": group,
    "compute_region_autoscaler": autoscaler,
    "logging_metric": log_metric,
    "monitoring_alert_policy": alert,
    "pubsub_topic_iam_member": grants("topic", "topic"),
    "pubsub_subscription_iam_member": grants("subscription", "subscription"),
    "storage_bucket_iam_member": grants("bucket", "bucket"),
    "artifact_registry_repository_iam_member": grants("repository", "repository"),
    "project_iam_member": grants("project", "project"),
}
