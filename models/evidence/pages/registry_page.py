"""A comparison in MLflow, where the swap is made: a run per pair, and the verdict on the staging version's own page."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from models.evidence.figures.summary import Look, Summary
from models.evidence.pages import words
from models.evidence.pages.report import render
from models.evidence.record.files import FileFigures
from models.evidence.record.pair import Version
from models.registry.client import Registry, RegistryUnreachable

REPORT, FIGURES = "report.html", "summary.json"
DIGEST_TAG = "understudy.summary.sha256"  # of what a run shows: the same again is not written
PRODUCTION_TAG, STAGING_TAG = "understudy.production", "understudy.staging"
VERDICT_TAG = "understudy.verdict"
MOST_STEPS = 200  # points of a series that are written at once
LONGEST_NAME = 200  # of a metric, of the 250 that MLflow takes
MOST_METRICS = 1000  # MLflow's limit of one request
BEGIN, END = "<!-- understudy verdict -->", "<!-- /understudy verdict -->"


class RegistryPage:
    """Writes comparisons to one MLflow. Every method raises RegistryUnreachable where it does not answer."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._experiment = f"{registry.model}: staging against production"
        self._runs: dict[tuple[Version, Version], str] = {}

    def keep_run(self, summary: Summary, files: Sequence[FileFigures]) -> tuple[str, bool]:
        """Brings the pair's run up to date; gives its id, and whether it had changed. `files`: in order of time."""
        try:
            return self._keep_run(summary, files)
        except RegistryUnreachable:
            raise
        except Exception as error:  # noqa: BLE001 - MLflow, its stores and their drivers raise many kinds
            self._runs.clear()  # another database may stand there when it answers again
            raise self._registry.no_answer(error) from None

    def show_verdict(self, summary: Summary, run_id: str) -> bool:
        """Brings the staging version's description and tags up to date; True where anything had changed.

        What people wrote in the description stays. A version that is gone from the registry is passed over.
        """
        try:
            return self._show_verdict(summary, run_id)
        except RegistryUnreachable:
            raise
        except Exception as error:  # noqa: BLE001 - MLflow, its stores and their drivers raise many kinds
            if getattr(error, "error_code", None) in {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"}:
                return False
            raise self._registry.no_answer(error) from None

    def _keep_run(self, summary: Summary, files: Sequence[FileFigures]) -> tuple[str, bool]:
        from mlflow.entities import Metric, RunTag

        client = self._registry.client
        pair = summary.production, summary.staging
        figures = json.dumps(summary.to_json(), indent=1)
        digest = hashlib.sha256(figures.encode()).hexdigest()
        run_id = self._runs.get(pair)
        run = client.get_run(run_id) if run_id is not None else self._find_run(client, *pair)
        if run is None:
            run = self._new_run(client, *pair)
        run_id = self._runs[pair] = str(run.info.run_id)
        if run.data.tags.get(DIGEST_TAG) == digest:
            return run_id, False
        client.log_text(run_id, render(summary), REPORT)
        client.log_text(run_id, figures, FIGURES)
        points = [Metric(*point) for point in points_of(summary, files, run.data.metrics, time.time())]
        for start in range(0, len(points), MOST_METRICS):
            client.log_batch(run_id, metrics=points[start : start + MOST_METRICS])
        tags = {VERDICT_TAG: str(summary.evidence.verdict), DIGEST_TAG: digest}
        # Last: a watcher that dies before this line writes all of it again.
        client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
        return run_id, True

    def _find_run(self, client: Any, production: Version, staging: Version) -> Any:
        experiment = client.get_experiment_by_name(self._experiment)
        if experiment is None:
            return None
        which = f"tags.`{PRODUCTION_TAG}` = '{_name(production)}' and tags.`{STAGING_TAG}` = '{_name(staging)}'"
        found = client.search_runs([experiment.experiment_id], which, max_results=1, order_by=["start_time ASC"])
        return found[0] if found else None

    def _new_run(self, client: Any, production: Version, staging: Version) -> Any:
        experiment = client.get_experiment_by_name(self._experiment)
        if experiment is None:
            # Not through models.training.tracking, which moves the address of every MLflow client of this process.
            client.create_experiment(self._experiment, artifacts_location(self._registry.tracking_uri))
            experiment = client.get_experiment_by_name(self._experiment)
            # Else the UI files it under "GenAI" for having no training runs.
            client.set_experiment_tag(experiment.experiment_id, "mlflow.experimentKind", "custom_model_development")
        tags = {PRODUCTION_TAG: _name(production), STAGING_TAG: _name(staging), "mlflow.source.name": "models watch"}
        name = f"version {staging.version} against version {production.version}"
        run = client.create_run(experiment.experiment_id, tags=tags, run_name=name)
        client.set_terminated(run.info.run_id)  # each write is complete; a run that "runs" for ever misleads
        return run

    def _show_verdict(self, summary: Summary, run_id: str) -> bool:
        client = self._registry.client
        name, version = summary.staging.name, summary.staging.version
        known = client.get_model_version(name, version)
        run = client.get_run(run_id)
        link = f"#/experiments/{run.info.experiment_id}/runs/{run_id}/artifacts/{REPORT}"
        description = with_verdict(known.description or "", verdict_block(summary, link))
        changed = description != (known.description or "")
        if changed:
            client.update_model_version(name, version, description=description)
        for key, value in verdict_tags(summary, run_id).items():
            if (known.tags or {}).get(key) != value:
                client.set_model_version_tag(name, version, key, value)
                changed = True
        return changed


def points_of(
    summary: Summary, files: Sequence[FileFigures], logged: Mapping[str, float], now: float
) -> list[tuple[str, float, int, int]]:
    """What to add to a run's time series: (name, value, milliseconds since 1970, step); steps count files.

    `logged`: the latest value of each metric. A metric that is new starts with the first file, another goes on behind
    the files that were logged; at the last file each is written again. Of many files some are left out.
    """
    known = int(logged.get("files", 0))
    points: list[tuple[str, float, int, int]] = []
    for step in sorted({round(step) for step in np.linspace(1, max(1, len(files)), MOST_STEPS)}):
        for name, value in _so_far(summary, files, step).items():
            if step == len(files) or step > (known if name in logged else 0):
                points.append((name, value, int(1000 * now), step))
    return points


def _so_far(summary: Summary, files: Sequence[FileFigures], step: int) -> dict[str, float]:
    """The metrics after so many files; shares as such, evidence as natural logarithms."""
    part = files[:step]
    rows, labelled = sum(file.rows for file in part), sum(file.labelled for file in part)
    found: dict[str, float] = {"files": step, "rows": rows, "rows_labelled": labelled}
    if rows:
        found["agreement"] = sum(file.agree for file in part) / rows
    if labelled:
        both, look = sum(file.both_right for file in part), summary.evidence.looks[step - 1]
        found |= {
            "accuracy_production": (both + sum(file.lost for file in part)) / labelled,
            "accuracy_staging": (both + sum(file.won for file in part)) / labelled,
            **_of_measure(summary, look),
        }
    if step == len(files):
        for name, measure in summary.measures.items():
            for side, estimate in (("production", measure.production), ("staging", measure.staging)):
                if estimate is not None and name != "accuracy":
                    found[f"{name}_{side}"] = estimate.value
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def _of_measure(summary: Summary, look: Look) -> dict[str, float]:
    """By how much staging is better by the measure that decides; the names say which, and what is asymptotic."""
    by = summary.evidence.measure
    difference, behind = "accuracy_difference", ""
    if by.name != "accuracy":
        name = re.sub(r"[^\w. ]", "_", by.name.replace(":", "_of_"))[:LONGEST_NAME]
        name += "_asymptotic" if by.asymptotic else ""
        difference, behind = f"{name}_better_by", f"_by_{name}"
    return {
        difference: look.difference,
        f"{difference}_low": look.low,
        f"{difference}_high": look.high,
        f"log_e_staging{behind}": look.log_e_staging,
        f"log_e_production{behind}": look.log_e_production,
        "log_e_threshold": summary.evidence.threshold,
    }


def verdict_tags(summary: Summary, run_id: str) -> Mapping[str, str]:
    """Tags of the staging version."""
    return {
        VERDICT_TAG: str(summary.evidence.verdict),
        f"{VERDICT_TAG}.against": f"version {summary.production.version}",
        f"{VERDICT_TAG}.rows_labelled": str(summary.rows["labelled"]),
        f"{VERDICT_TAG}.run": run_id,
        f"{VERDICT_TAG}.by": summary.evidence.measure.name,
    }


def verdict_block(summary: Summary, link: str) -> str:
    """What stands in the staging version's description, as Markdown."""
    verdict, _, rest = _markdown(summary.evidence.sentence).partition(". ")
    pair = f"--production {summary.production.version} --staging {summary.staging.version}"
    command = f"python -m models compare {pair}{words.options(summary)}"
    parts = [
        f"**{verdict.rstrip('.')}** (against production version {summary.production.version}). {rest}".strip(),
        *filter(None, [words.doubt(summary)]),
        *(f"Guard: {_markdown(each.sentence)}." for each in summary.evidence.guards),
        f"{words.scope(summary)}. [Report]({link}), or `{command}`.",
    ]
    return "\n\n".join((BEGIN, *parts, END))


def _markdown(text: str) -> str:
    """Text with the names of classes, which are a model's own, as such."""
    return re.sub(r"([\\`*_<>\[\]])", r"\\\1", " ".join(text.split()))


def with_verdict(description: str, block: str) -> str:
    """The description with the block in the place of the one before, or behind what people wrote."""
    before, begin, rest = description.partition(BEGIN)
    _, end, after = rest.partition(END)
    if begin and end:
        return before + block + after
    return f"{description.rstrip()}\n\n{block}" if description.strip() else block


def artifacts_location(tracking_uri: str) -> str | None:
    """Where files of runs go: beside a SQLite database; None where a server decides.

    MLflow would take ./mlruns of whatever folder a program happens to run in.
    """
    if not tracking_uri.startswith("sqlite:///"):
        return None
    database = Path(unquote(tracking_uri.removeprefix("sqlite:///").partition("?")[0]))
    return (database.absolute().parent / "mlartifacts").as_uri()


def quieten_mlflow() -> None:
    """MLflow's chatter concerns nobody who watches. Before MLflow is imported."""
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _name(version: Version) -> str:
    return f"{version.version} ({version.run_id})" if version.run_id else version.version
