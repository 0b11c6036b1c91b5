"""Where a logged model lies, what it is, and who logged it. Its files are fetched and read as data; nothing is run."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.registry.address import fit_to_show, shown, why_no_database
from models.registry.spec import SPEC_FILE
from models.training.register import RegistrationRefused


@dataclass(frozen=True)
class Logged:
    """A logged model, whose files lie in `folder`.

    `reference`: what names it for ever (a version rather than an alias); `model`: the registered model that it is of,
    None where it is of none; `flavors`: flavor → its entry in MLmodel; `description`: MLflow's `Model` of it; `who` and
    `when`: of its run, empty where that is not known.
    """

    reference: str
    folder: Path
    model: str | None
    flavors: Mapping[str, Mapping[str, Any]]
    description: Any
    run_id: str
    who: str
    when: str


def find(reference: str, tracking_uri: str, into: Path) -> Logged:
    """The logged model at `models:/NAME/VERSION`, `models:/NAME@ALIAS`, `models:/m-ID`, `runs:/ID/NAME` or a folder.

    Files of a registry are copied to `into`. Raises RegistrationRefused where there is none.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    model = None
    is_address = reference.startswith(("models:/", "runs:/"))
    if is_address and (why := why_no_database(tracking_uri)):
        raise RegistrationRefused(why)
    try:
        if is_address:
            client = mlflow.MlflowClient(tracking_uri, tracking_uri)
            reference, model = _fixed(client, reference)
            mlflow.set_tracking_uri(tracking_uri)
            mlflow.set_registry_uri(tracking_uri)  # else that of MLFLOW_REGISTRY_URI would be asked
            folder = Path(mlflow.artifacts.download_artifacts(reference, dst_path=str(into)))
        else:
            folder = Path(reference)
        if not (folder / SPEC_FILE).is_file():
            raise RegistrationRefused(
                f"{reference} is no logged model: it has no file {SPEC_FILE}. Name one as models:/NAME/VERSION, "
                f"models:/NAME@ALIAS, runs:/ID/NAME, or a folder that a `save_model` of MLflow wrote"
            )
        description = mlflow.models.Model.load(str(folder))
        run_id = description.run_id or ""
        who = _who(client, run_id) if is_address else _owner(folder)
    except (MlflowException, OSError) as error:
        raise RegistrationRefused(
            f"{reference} is not to be had from {shown(tracking_uri)}: {fit_to_show(str(error), tracking_uri)}"
        ) from None
    return Logged(
        reference, folder, model, description.flavors, description, run_id, who, _time(description.utc_time_created)
    )


def _fixed(client: Any, reference: str) -> tuple[str, str | None]:
    """The reference by the number of its version, and its registered model."""
    if not reference.startswith("models:/"):
        return reference, None
    name, at, alias = reference.removeprefix("models:/").rpartition("@")
    if at:
        version = str(client.get_model_version_by_alias(name, alias).version)
        return f"models:/{name}/{version}", name
    name, slash, version = alias.rpartition("/")
    if not slash:
        return reference, None  # models:/m-ID, of no registered model
    if not version.isdecimal():
        raise RegistrationRefused(
            f"{reference} names no version: give its number, models:/{name}/VERSION, or an alias, models:/{name}@ALIAS"
        )
    return reference, name


def _who(client: Any, run_id: str) -> str:
    from mlflow.exceptions import MlflowException

    if not run_id:
        return ""
    try:
        run = client.get_run(run_id)
    except MlflowException:  # a run may be deleted, and its versions stay
        return ""
    return str(run.data.tags.get("mlflow.user") or run.info.user_id or "")


def _owner(folder: Path) -> str:
    uid = os.stat(folder).st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _time(written: Any) -> str:
    try:
        return f"{datetime.fromisoformat(str(written)).replace(tzinfo=UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return ""
