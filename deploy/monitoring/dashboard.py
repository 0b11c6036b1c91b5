"""The Grafana dashboard, made from the list of metrics: what a panel shows is said once, in edge/metrics.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edge.metrics import METRICS, Metric

WIDTH, HEIGHT = 24, 8  # of the whole page, and of a panel
SOURCE = {"type": "prometheus", "uid": "${source}"}


@dataclass(frozen=True)
class Row:
    """A strip of panels: the metrics that it shows, by their names without `understudy_`."""

    title: str
    metrics: tuple[str, ...]


ROWS = (
    Row("What waits", ("backlog_oldest_seconds", "unanswered_files", "unanswered_oldest_seconds", "held_back_files")),
    Row("What is done", ("files_total", "rows_total", "published_total")),
    Row("What cannot be scored", ("files_rejected_total", "rows_rejected_total", "rows_unknown_total")),
    Row("How long it takes", ("file_seconds", "step_seconds", "in_hand", "last_processed_timestamp_seconds")),
    Row(
        "What goes wrong",
        (
            "redeliveries_total",
            "failed_attempts_total",
            "dead_letters_total",
            "unusable_messages_total",
            "lease_extensions_total",
            "failed_steps_total",
            "notifications_total",
            "healthy",
            "ready",
        ),
    ),
    Row("Models", ("model_version_info", "model_age_seconds", "model_refused", "registry_reachable")),
    Row("The shadow", ("shadow_backlog", "shadow_oldest_seconds", "shadow_failures_total")),
    Row("Which model is better?", ("evidence_log_e_value", "agreement_ratio", "compared_rows")),
    Row("The publisher and the watch", ("last_pass_timestamp_seconds", "last_look_timestamp_seconds")),
)

_SUMMED = {"in_hand", "shadow_backlog"}  # over all instances; other gauges are the largest of any
_SMALLEST = {"healthy", "ready", "registry_reachable"}


def query(metric: Metric) -> str:
    """What a panel asks Prometheus: counters per second, times as the 95th percentile, moments as an age."""
    short = metric.name.removeprefix("understudy_")
    labels = ", ".join(metric.labels)
    by = f" by ({labels})" if labels else ""
    if metric.kind == "counter":
        return f"sum{by} (rate({metric.name}[$__rate_interval]))"
    if metric.kind == "histogram":
        le = ", ".join(("le", *metric.labels))
        return f"histogram_quantile(0.95, sum by ({le}) (rate({metric.name}_bucket[$__rate_interval])))"
    if short.endswith("_timestamp_seconds"):
        return f"time() - max({metric.name} > 0)"
    if short == "model_version_info":
        return f"count{by} ({metric.name})"
    over = "sum" if short in _SUMMED else "min" if short in _SMALLEST else "max"
    return f"{over}{by} ({metric.name})"


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it; it asks which Prometheus to read."""
    return {
        "uid": "understudy",
        "title": "Understudy",
        "tags": ["understudy"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": list(_panels()),
    }


def _panels() -> Iterator[dict[str, Any]]:
    known = {metric.name: metric for metric in METRICS}
    y = 0
    number = 0
    for row in ROWS:
        number += 1
        place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
        yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "panels": [], "gridPos": place}
        y += 1
        across = min(4, len(row.metrics))
        for at, name in enumerate(row.metrics):
            number += 1
            line, column = divmod(at, across)
            width = WIDTH // across
            place = {"x": column * width, "y": y + line * HEIGHT, "w": width, "h": HEIGHT}
            yield _panel(number, known[f"understudy_{name}"], place)
        y += HEIGHT * -(-len(row.metrics) // across)


def _panel(number: int, metric: Metric, place: dict[str, int]) -> dict[str, Any]:
    least = {} if "log_e" in metric.name else {"min": 0}
    legend = " ".join(f"{{{{{label}}}}}" for label in metric.labels) or metric.name
    return {
        "id": number,
        "type": "timeseries",
        "title": _title(metric),
        "description": f"{metric.help} ({metric.name})",
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": _unit(metric), **least}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [{"refId": "A", "datasource": SOURCE, "expr": query(metric), "legendFormat": legend}],
    }


def _title(metric: Metric) -> str:
    words = metric.name.removeprefix("understudy_").removesuffix("_total").removesuffix("_info")
    words = words.removesuffix("_timestamp_seconds").removesuffix("_seconds").replace("_", " ")
    how = {"counter": " per second", "histogram": ", 95 of 100 within"}.get(metric.kind, "")
    ago = ", how long ago" if metric.name.endswith("_timestamp_seconds") else ""
    return f"{words[0].upper()}{words[1:]}{how}{ago}"


def _unit(metric: Metric) -> str:
    if metric.kind == "counter":
        return "short"
    if metric.name.endswith("_seconds"):
        return "s"
    return "percentunit" if metric.name.endswith("_ratio") else "short"
