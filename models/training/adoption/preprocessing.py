"""A preprocessing that was pickled beside a model. **Loading it runs code out of its file.**"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.scoring.session import first_line
from models.training.register import RegistrationRefused


def load_steps(file: Path) -> list[tuple[str, Any]]:
    """The fitted steps in `file`, written by pickle or joblib: one transformer, or a list of them in their order.

    Raises RegistrationRefused where it cannot be loaded, or holds something else.
    """
    import joblib

    if not file.is_file():
        raise RegistrationRefused(f"{file} does not exist")
    try:
        found = joblib.load(file)
    except ModuleNotFoundError as error:
        raise RegistrationRefused(
            f"{file} needs {error.name}, which is not installed: `.venv/bin/python -m pip install` the package of it"
        ) from None
    except Exception as error:
        raise RegistrationRefused(f"{file} cannot be loaded: {first_line(error)}") from error
    steps = list(found.values()) if isinstance(found, dict) else found if isinstance(found, list | tuple) else [found]
    for step in steps:
        if not hasattr(step, "transform"):
            raise RegistrationRefused(
                f"{file} holds {type(step).__name__}, which transforms nothing: it must be a fitted transformer (a "
                f"ColumnTransformer, a scaler), or a list of them"
            )
    return [(f"step {at}", step) for at, step in enumerate(steps, start=1)]
