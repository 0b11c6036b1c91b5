"""Whether a database lies at a registry's address; MLflow itself would make one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

_SQLITE = "sqlite:///"


def why_no_database(address: str) -> str | None:
    """Why a `sqlite:///` address names no database of MLflow's; None where it does, and for every other address."""
    if not address.startswith(_SQLITE):
        return None
    path = Path(unquote(address.removeprefix(_SQLITE).partition("?")[0])).absolute()
    advice = "run `python -m models train all` first, or set MLFLOW_TRACKING_URI to where your registry is"
    if not path.is_file():
        return f"no registry at {path}: {advice}"
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as database:
            tables = database.execute("SELECT name FROM sqlite_master WHERE name = 'registered_models'").fetchall()
    except sqlite3.Error as error:
        return f"{path} is no readable database: {error}"
    return None if tables else f"{path} is not a registry of MLflow's: {advice}"
