"""The manual's tables of metrics and alerts, between their marks in docs/operations.md."""

from __future__ import annotations

from pathlib import Path

from deploy.monitoring.alerts import ALERTS
from edge.metrics import METRICS

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def with_tables(page: str) -> str:
    """The page with its tables as they are to be. Raises ValueError where a mark is missing."""
    for name, table in {"metrics": _metrics(), "alerts": _alerts()}.items():
        begin, end = f"<!-- {name}: made by python -m deploy.monitoring -->\n", f"<!-- end of {name} -->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise ValueError(f"{PAGE} has lost its marks of the table of {name}")
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = f"{before}{begin}{table}{end}{after}"
    return page


def _metrics() -> str:
    lines = ["| metric | kind | labels | unit | of | meaning |", "| --- | --- | --- | --- | --- | --- |"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        of = ", ".join(metric.programs)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.unit} | {of} | {metric.help} |")
    return "\n".join(lines) + "\n"


def _alerts() -> str:
    lines = ["| alert | when | for | severity | what to do |", "| --- | --- | --- | --- | --- |"]
    for alert in ALERTS:
        when = alert.expression.replace("|", "\\|")
        chapter = alert.runbook.replace("-", " ")
        lines.append(
            f"| {alert.name} | `{when}` | {alert.lasting} | {alert.severity} | [{chapter}](#{alert.runbook}) |"
        )
    return "\n".join(lines) + "\n"
