"""A real Prometheus server scrapes two real workers and a publisher, with the rules of deploy/monitoring."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.monitoring.__main__ import HERE
from deploy.monitoring.alerts import ALERTS
from deploy.waiting import wait_for
from tests.chaos.understudy import Running, surveys
from tests.emulators import missing
from tests.unit.test_worker_signals import check_metrics

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FILES = 30


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:  # all at once, so that none comes twice
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


class Prometheus:
    """A server of its own; `get` asks its HTTP interface."""

    def __init__(self, folder: Path, address: str, **targets: list[str]) -> None:
        self.url = f"http://{address}"
        folder.mkdir()
        shutil.copy(HERE / "alerts.yml", folder)
        jobs = [{"job_name": job, "static_configs": [{"targets": at}]} for job, at in targets.items()]
        times = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config = {"global": times, "rule_files": ["alerts.yml"], "scrape_configs": jobs}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        with (folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    "--config.file=prometheus.yml",
                    f"--web.listen-address={address}",
                    "--storage.tsdb.path=data",
                ],
                cwd=folder,
                stdout=log,
                stderr=log,
            )

    def get(self, path: str, **parameters: str) -> Any:
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}{query}", timeout=10) as answer:
            return json.load(answer)["data"]

    def value(self, expression: str) -> float | None:
        """What one figure is now; None where there is none."""
        try:
            result = self.get("query", query=expression)["result"]
        except OSError:  # it is still starting
            return None
        return float(result[0]["value"][1]) if result else None

    def reach(self, expected: dict[str, float]) -> None:
        """Waits until the figures are these: each program is scraped at a moment of its own, and a scrape may fail."""
        figures: dict[str, float | None] = {}

        def reached() -> bool:
            figures.update({expression: self.value(expression) for expression in expected})
            return figures == expected

        wait_for(reached, lambda: str(figures), every=0.2)

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(30)


@pytest.fixture
def addresses() -> list[str]:
    return [f"127.0.0.1:{port}" for port in free_ports(4)]


@pytest.fixture
def prometheus(tmp_path: Path, addresses: list[str]) -> Iterator[Prometheus]:
    if shutil.which("prometheus") is None:
        missing("prometheus is not installed: Debian's package of that name has it")
    server = Prometheus(tmp_path / "prometheus", addresses[3], publisher=addresses[:1], worker=addresses[1:3])
    yield server
    server.end()


def test_two_workers_are_scraped_and_what_they_did_adds_up(
    running: Running, prometheus: Prometheus, addresses: list[str]
) -> None:
    # Given two workers, a publisher, and a Prometheus that scrapes them each second
    publisher = running.publisher("--listen", addresses[0])
    workers = [running.worker("--listen", address) for address in addresses[1:3]]
    running.ready(*workers)
    wait_for(lambda: prometheus.value('sum(up{job="worker"})') == 2, "two workers that are scraped")
    wait_for(lambda: prometheus.value('up{job="publisher"}') == 1, "a publisher that is")
    rules = {rule["name"] for rule in prometheus.get("rules")["groups"][0]["rules"]}
    assert rules == {alert.name for alert in ALERTS}

    # When files are scored
    for name, content in surveys(FILES, 20).items():
        running.drop(name, content)
    running.wait_until_done(FILES)

    # Then each rule was worked out without an error
    wait_for(
        lambda: {rule["health"] for rule in prometheus.get("rules")["groups"][0]["rules"]} == {"ok"}, "rules evaluated"
    )
    wait_for(lambda: prometheus.value("understudy_unanswered_files") == 0, "a pass that finds all answered", every=0.5)

    # and the figures of all of them add up to what was done, once; no rule has anything to say
    prometheus.reach(
        {
            'sum(understudy_files_total{status="scored"})': FILES,
            "sum(understudy_rows_total)": FILES * 20,
            "sum(understudy_published_total)": FILES,
            'sum(understudy_step_seconds_count{step="score"})': FILES,
            "count(understudy_healthy == 1 and understudy_ready == 1)": 3,
            'count(count by (version) (understudy_model_version_info{alias="production"}))': 1,
        }
    )
    wait_for(lambda: not alerts_of(prometheus), "no alert: a scrape that came late may have raised one")

    # and a publisher's figures, too, are as Prometheus wants them
    with urllib.request.urlopen(f"http://{addresses[0]}/metrics", timeout=10) as answer:
        check_metrics(answer.read().decode())

    # And when one of them ends and the other is killed, the alert about that is on its way
    assert workers[0].end() == 0
    workers[1].kill()
    wait_for(lambda: "NoWorkerAlive" in alerts_of(prometheus), "an alert")
    assert alerts_of(prometheus)["NoWorkerAlive"] == "pending"  # it fires after five minutes
    assert publisher.end() == 0


def alerts_of(prometheus: Prometheus) -> dict[str, str]:
    """Name → state, of each alert that is not inactive."""
    return {alert["labels"]["alertname"]: alert["state"] for alert in prometheus.get("alerts")["alerts"]}
