"""`python -m deploy.monitoring`: writes alerts.yml and dashboard.json, and the tables in docs/operations.md."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from deploy.monitoring.alerts import rules
from deploy.monitoring.dashboard import dashboard
from deploy.monitoring.manual import PAGE, with_tables

HERE = Path(__file__).parent
NOTE = "# Made by `python -m deploy.monitoring` from alerts.py and edge/metrics.py: change it there.\n"


def made() -> dict[str, str]:
    """Name → content of each file that is made."""
    return {
        "alerts.yml": NOTE + yaml.safe_dump(rules(), sort_keys=False, width=120, allow_unicode=True),
        "dashboard.json": json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n",
    }


def main() -> None:
    for name, content in made().items():
        (HERE / name).write_text(content, encoding="utf-8")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
