"""The alert rules and the dashboard: current, right, and about figures that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.monitoring.__main__ import HERE, made
from deploy.monitoring.alerts import ALERTS, MANUAL
from deploy.monitoring.dashboard import WIDTH, dashboard
from deploy.monitoring.manual import PAGE, with_tables
from edge.metrics import METRICS
from tests.emulators import missing
from tests.log_events import NotConstant, log_events, names_in

ROOT = Path(__file__).parents[2]
NAMES = {metric.name for metric in METRICS} | {f"{metric.name}_bucket" for metric in METRICS}


def promtool(*arguments):
    if shutil.which("promtool") is None:
        missing("promtool is not installed: it comes with Debian's package prometheus")
    done = subprocess.run(["promtool", *arguments], cwd=HERE, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", made())
def test_what_is_made_from_the_list_of_metrics_is_current(name):
    assert (HERE / name).read_text(encoding="utf-8") == made()[name], "run `python -m deploy.monitoring`"


def test_the_rules_say_when_they_should_and_only_then():
    status, said = promtool("test", "rules", "alerts.test.yml")

    assert status == 0, said


def test_each_rule_is_seen_to_fire_and_to_be_quiet():
    tests = yaml.safe_load((HERE / "alerts.test.yml").read_text(encoding="utf-8"))["tests"]
    seen = {(case["alertname"], bool(case["exp_alerts"])) for test in tests for case in test["alert_rule_test"]}

    assert seen == {(alert.name, fires) for alert in ALERTS for fires in (True, False)}


def test_prometheus_takes_its_configuration():
    status, said = promtool("check", "config", "prometheus.yml")

    assert status == 0, said
    assert f"{len(ALERTS)} rules found" in said


def test_every_figure_that_a_rule_or_a_panel_asks_for_exists():
    queries = [alert.expression for alert in ALERTS]
    queries += [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]

    asked = {name for query in queries for name in re.findall(r"understudy_\w+", query)}

    assert asked <= NAMES


def test_prometheus_understands_what_the_panels_ask(tmp_path):
    asked = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(asked)
    ]
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))

    status, said = promtool("check", "rules", str(tmp_path / "panels.yml"))

    assert (status, f"{len(METRICS)} rules found" in said) == (0, True), said


def test_every_figure_is_in_one_panel():
    shown = [panel["description"].rpartition("(")[2] for panel in dashboard()["panels"] if panel["type"] != "row"]

    assert sorted(shown) == sorted(f"{metric.name})" for metric in METRICS)


def test_no_two_panels_overlap():
    taken = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= WIDTH
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_rule_leads_to_a_chapter_of_the_manual():
    headings = re.findall(r"^#+ (.+)$", (ROOT / MANUAL).read_text(encoding="utf-8"), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}

    assert {alert.runbook for alert in ALERTS} <= anchors


def test_the_manual_s_tables_of_metrics_and_alerts_are_current():
    page = PAGE.read_text(encoding="utf-8")

    assert with_tables(page) == page, "run `python -m deploy.monitoring`"


def test_every_log_event_is_in_the_manual_and_the_other_way_round():
    told = set(re.findall(r"^\| `(.+)` \| (?:debug|info|warning|error)", _chapter("Log events"), re.MULTILINE))
    logged = {event.name for event in log_events()}

    assert told - logged == set(), "in the manual, and logged by nobody"
    assert logged - told == set(), "logged, and not in the manual"


def test_an_event_whose_name_is_made_up_while_it_is_logged_is_seen():
    with pytest.raises(NotConstant, match="line 1"):
        list(names_in("log.info(f'file {name}')"))
    assert list(names_in("log.info('a' if b else 'c'); x._say_once(log.debug, 'd', e)")) == ["a", "c", "d"]


def _chapter(title):
    return PAGE.read_text(encoding="utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]
