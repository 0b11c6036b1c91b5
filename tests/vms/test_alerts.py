"""The alert policies: when they fire, tried on made-up series; and that the log says what its metrics look for."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import structlog
import yaml

from edge.log import start_log
from tests.emulators import missing
from tests.vms import gcloud_facts
from tests.vms.facts import Fleet
from tests.vms.terraform import ROOT
from tests.vms.test_gcloud import AS_IT_COMES, gcloud_sh

OF = '{{monitored_resource="pubsub_subscription",project_id="acme-surveys",subscription_id="flights-{}"}}'
AGE = "pubsub_googleapis_com:subscription_oldest_unacked_message_age" + OF
DEAD = "pubsub_googleapis_com:subscription_dead_letter_message_count" + OF
WAITING = "pubsub_googleapis_com:subscription_num_undelivered_messages" + OF
PULLS = "pubsub_googleapis_com:subscription_open_streaming_pulls" + OF
LOGGED = 'logging_googleapis_com:user_understudy_{}{{monitored_resource="gce_instance",instance_id="{}"}}'
ALIVE = {PULLS.format("workers"): "2x90"}

OLDEST = "a file waits for too long"
GIVEN_UP = "files were given up"
REJECTED = "many files are rejected"
NOBODY = "no worker is alive"

# What Cloud Monitoring has, one value a minute; and what fires after an hour
SITUATIONS = [
    ("all is well", {**ALIVE, AGE.format("workers"): "20x90", WAITING.format("workers"): "5x90"}, set()),
    ("a file waits", {**ALIVE, AGE.format("workers"): "0+60x90"}, {OLDEST}),
    ("another queue's file waits", {**ALIVE, AGE.format("others"): "0+60x90"}, set()),
    ("a file is given up", {**ALIVE, DEAD.format("workers"): "0x55 1x35"}, {GIVEN_UP}),
    ("a file was given up long ago", {**ALIVE, DEAD.format("workers"): "0x5 1x85"}, set()),
    ("dead letters lie there", {**ALIVE, WAITING.format("dead-letters"): "1x90"}, {GIVEN_UP}),
    ("dead letters are recorded", {**ALIVE, WAITING.format("dead-letters"): "0x50 1x5 0x35"}, set()),
    (
        "two workers reject one in ten between them",
        {
            **ALIVE,
            LOGGED.format("receipts", 1): "0+3x90",
            LOGGED.format("receipts", 2): "0+1x90",
            LOGGED.format("rejected", 2): "0+0.4x90",
        },
        {REJECTED},
    ),
    (
        "one in fifty is rejected",
        {**ALIVE, LOGGED.format("receipts", 1): "0+5x90", LOGGED.format("rejected", 1): "0+0.1x90"},
        set(),
    ),
    (
        "the only file is rejected",
        {**ALIVE, LOGGED.format("receipts", 1): "0x50 1x40", LOGGED.format("rejected", 1): "0x50 1x40"},
        set(),
    ),
    ("nobody pulls any more", {PULLS.format("workers"): "2x30 0x60"}, {NOBODY}),
    ("nobody ever pulled", {WAITING.format("workers"): "0x90"}, {NOBODY}),
    ("a moment without a worker", {PULLS.format("workers"): "2x52 0x4 2x34"}, set()),
]
# With MIN_WORKERS=0
NONE_WANTED = [
    ("nothing waits", {WAITING.format("workers"): "0x90", PULLS.format("workers"): "0x90"}, set()),
    ("a file waits for a worker", {WAITING.format("workers"): "0x30 1x60", PULLS.format("workers"): "0x90"}, {NOBODY}),
    ("somebody pulls", {WAITING.format("workers"): "9x90", PULLS.format("workers"): "1x90"}, set()),
]


def planned(**settings: str) -> Fleet:
    with_files = gcloud_sh("--dry-run", **AS_IT_COMES, **settings)
    commands = gcloud_facts.commands(with_files.stdout)
    alerts = [words for words in commands if words[1] in ("monitoring", "logging")]
    return gcloud_facts.fleet_of(alerts)


@pytest.mark.parametrize(("settings", "situations"), [({}, SITUATIONS), ({"MIN_WORKERS": "0"}, NONE_WANTED)])
def test_an_alert_fires_when_it_should_and_only_then(tmp_path, settings, situations):
    if shutil.which("promtool") is None:
        missing("promtool is not installed (Debian has it in prometheus)")
    alerts = {
        name.removeprefix("alert understudy: "): settings for name, settings in planned(**settings).resources.items()
    }
    rules = [
        {"alert": title, "expr": query, "for": lasting}
        for title, settings in alerts.items()
        if "conditions" in settings
        for query, lasting, _ in settings["conditions"].values()
    ]
    assert len(rules) == 5
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "understudy", "rules": rules}]}))
    tests = [
        {
            "name": title,
            "interval": "1m",
            "input_series": [{"series": series, "values": values} for series, values in given.items()],
            "alert_rule_test": [
                {"eval_time": "1h", "alertname": name, "exp_alerts": [{"exp_labels": {}}] if name in fires else []}
                for name in (OLDEST, GIVEN_UP, REJECTED, NOBODY)
            ],
        }
        for title, given, fires in situations
    ]
    (tmp_path / "tests.yaml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests})
    )

    done = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "tests.yaml"], capture_output=True, text=True, cwd=tmp_path
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_log_says_what_its_metrics_look_for():
    out = io.StringIO()
    try:
        start_log("worker", stream=out, worker="understudy-worker-x7f2-1")
        structlog.get_logger().info("receipt written", status="rejected", file="a.csv")
    finally:
        structlog.reset_defaults()
    line = out.getvalue()
    assert '"receipt written"' in Path(ROOT / "worker" / "handle.py").read_text(encoding="utf-8")

    metrics = planned().resources
    receipts = metrics["log metric understudy_receipts"]["filter"]
    rejected = metrics["log metric understudy_rejected"]["filter"]

    resource, *texts = receipts.split(" AND ")
    assert resource == 'resource.type="gce_instance"'
    assert len(texts) == 2
    assert all(shlex.split(text)[0] in line for text in texts)
    more = re.fullmatch(r'\(jsonPayload\.(\w+)="(\w+)" OR (".*")\)', rejected.removeprefix(f"{receipts} AND "))
    assert more is not None
    assert json.loads(line)[more[1]] == more[2]  # where the agent has taken the line apart
    assert json.loads(more[3]) in line  # where it has not
