"""The command `adopt`: a model that was logged to MLflow in its own library becomes a version that workers serve."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field
from pydantic_settings import CliPositionalArg

from edge.command import Command
from edge.options import ArtifactHosts, RegistryOption
from edge.terminal import harmless
from models.commands.options import Unsaid, names
from models.registry.address import fit_to_show, shown

if TYPE_CHECKING:
    from models.training.adoption.source import Logged


class Adopt(RegistryOption, Unsaid):
    """Converts a model that was logged to MLflow, and registers it as a new version beside the old one.

    scikit-learn, XGBoost, LightGBM, CatBoost and Keras. Loading such a model runs code out of its files, so the command
    says whose they are, and asks. The new version is registered only where it answers as the old one does.
    """

    source: CliPositionalArg[str] = Field(
        description="models:/NAME/VERSION, models:/NAME@ALIAS, runs:/ID/NAME, or the folder of a logged model"
    )
    model: str | None = Field(None, description="registered model of the new version (default: the source's own)")
    example: Path | None = Field(None, description="CSV of raw rows to compare on (default: its input_example)")
    preprocess: Path | None = Field(None, description="pickle of the fitted preprocessing that stands before the model")
    trust: bool = Field(False, description="load the files without asking")
    artifact_hosts: ArtifactHosts = ""

    def run(self) -> int:
        """Finds, asks, adopts; refusals end with a line on stderr and status 1."""
        from mlflow.exceptions import MlflowException

        from models.training.adoption.source import find
        from models.training.register import RegistrationRefused
        from models.training.rows import BadRows

        try:
            with tempfile.TemporaryDirectory() as folder:
                return self._adopt(find(self.source, self.mlflow_tracking_uri, Path(folder)))
        except (RegistrationRefused, BadRows, MlflowException, OSError) as error:
            print(harmless(f"adopt: {fit_to_show(str(error), self.mlflow_tracking_uri)}"), file=sys.stderr)
            return 1

    def _adopt(self, logged: Logged) -> int:
        from models.training.adoption.adopt import Wanted, adopt
        from models.training.adoption.flavors import flavor_of, older_libraries
        from models.training.register import RegistrationRefused
        from models.training.tracking import Tracking

        flavor, model = flavor_of(logged), self.model or logged.model
        if model is None:
            raise RegistrationRefused(f"{logged.reference} is of no registered model: name one with --model")
        if not self.trust:
            _ask(_whose(logged, flavor, self.mlflow_tracking_uri, self.preprocess))
        if older := older_libraries(logged, flavor):
            print(harmless(f"adopt: {older}"), file=sys.stderr)
        wanted = Wanted(
            classes=names(self.classes) or (),
            positive=self.positive,
            columns=names(self.input_columns),
            id_column=self.id_column,
            label_column=self.label_column,
            example=self.example,
            preprocess=self.preprocess,
        )
        tracking = Tracking(self.mlflow_tracking_uri, artifact_hosts=self.artifact_hosts)
        made = adopt(logged, flavor, wanted, tracking, model)
        print(
            harmless(
                f"{model} version {made.version} answers as {logged.reference} on {made.rows:,} rows and on probes "
                f"made from them: `python -m models stage {made.version} --model {model}` lets it score in the shadow"
            )
        )
        return 0


def _whose(logged: Logged, flavor: str, registry: str, preprocess: Path | None) -> str:
    """Whose code is about to be run."""
    of = f" of the registry {shown(registry)}" if logged.reference.startswith(("models:/", "runs:/")) else ""
    by = f", logged by {logged.who}" if logged.who else ", logged by somebody whom the registry does not name"
    when = f" on {logged.when}" if logged.when else ""
    run = f" in run {logged.run_id}" if logged.run_id else ""
    beside = "" if preprocess is None else f", and {preprocess}"
    return (
        f"{logged.reference}{of} is of flavor {flavor}{by}{when}{run}. Loading its files{beside} runs what is written "
        f"in them, as you and on this machine."
    )


def _ask(whose: str) -> None:
    """Raises RegistrationRefused unless the person at the terminal says yes."""
    from models.training.register import RegistrationRefused

    if not sys.stdin.isatty():
        raise RegistrationRefused(f"{whose} Nothing was run; --trust says that you trust them")
    print(harmless(whose), file=sys.stderr)
    print("Do you trust them? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise RegistrationRefused("nothing was run, and nothing registered")


COMMANDS: dict[str, type[Command]] = {"adopt": Adopt}
