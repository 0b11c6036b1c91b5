"""The commands that make models: `sample`, `train`, `register`."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from edge.command import Command
from edge.options import ArtifactHosts, ModelOption, RegistryOption
from edge.terminal import harmless
from models.commands.options import Unsaid, names
from models.registry.address import fit_to_show

if TYPE_CHECKING:
    from models.training.airline.dataset import Dataset
    from models.training.airline.training import TrainingOutcome

SAMPLE_ROWS, SAMPLE_TEST_ROWS = 20_000, 5_000


class Sample(Command):
    """Writes files of a synthetic survey; the same options write the same bytes."""

    rows: int = Field(2000, ge=1, description="rows of each file")
    files: int = Field(1, ge=1, description="how many files")
    seed: int = Field(0, ge=0, description="of the random numbers")
    out: Path = Field(Path("sample"), description="folder, or one file NAME.csv or NAME.csv.gz")
    labels: bool = Field(True, description="with the column `satisfaction`")
    gaps: float = Field(0.003, ge=0, le=1, description="share of arrival delays left blank")

    def run(self) -> int:
        from models.training.airline.sample import write_files

        with _progress() as bar:
            task = bar.add_task("sample", total=self.files)
            try:
                written = write_files(
                    self.out,
                    files=self.files,
                    rows=self.rows,
                    seed=self.seed,
                    labels=self.labels,
                    gaps=self.gaps,
                    progress=lambda done: bar.update(task, completed=done),
                )
            except (ValueError, OSError) as error:
                return _refused("sample", error)
        several = f" … {written[-1].name}" if len(written) > 1 else ""
        print(f"{len(written) * self.rows} rows in {written[0]}{several}")
        return 0


class _RegistryCommand(ModelOption, RegistryOption):
    artifact_hosts: ArtifactHosts = ""


class Train(_RegistryCommand):
    """Trains models, measures them on the test rows, registers each as a new version: forest, network, boosting, all.

    The first forest becomes `production`, the first network `staging`; later ones wait for `promote` or `stage`.
    """

    kinds: CliPositionalArg[list[Literal["forest", "network", "boosting", "all"]]] = Field(
        description="forest, network, boosting, or all of them"
    )
    data: Path | None = Field(None, description="labelled CSV to learn from (default: a synthetic sample)")
    test: Path | None = Field(None, description="labelled CSV to measure on (default: a tenth of DATA, at random)")
    seed: int = Field(0, ge=0, description="of everything random")
    unless_served: bool = Field(False, description="do nothing where the model has a production version already")

    def run(self) -> int:
        kinds = list(dict.fromkeys(self.kinds))
        with _progress() as bar:
            reading = bar.add_task("libraries and data", total=1)
            from mlflow.exceptions import MlflowException

            from models.training.airline.kinds import TRAINERS
            from models.training.airline.training import train_and_register
            from models.training.register import RegistrationRefused
            from models.training.rows import BadRows
            from models.training.tracking import Tracking

            try:
                if self.unless_served and Tracking(self.mlflow_tracking_uri).serves(self.model):
                    print(f"{self.model} has a production version: nothing to train")
                    return 0
                training, test = self._data()
                tracking = Tracking(self.mlflow_tracking_uri, artifact_hosts=self.artifact_hosts)
                bar.update(reading, completed=1)
                wanted = list(TRAINERS) if "all" in kinds else kinds
                tasks = [bar.add_task(kind, total=None) for kind in wanted]
                outcomes = [
                    train_and_register(
                        kind,
                        training,
                        test,
                        tracking,
                        self.model,
                        who=_login_name(),
                        seed=self.seed,
                        progress=partial(_show, bar, task),
                    )
                    for kind, task in zip(wanted, tasks, strict=True)
                ]
            except (BadRows, RegistrationRefused, MlflowException, OSError) as error:
                return _refused("train", error, self.mlflow_tracking_uri)
        _print_outcomes(outcomes, self.model, training.name, test.name)
        return 0

    def _data(self) -> tuple[Dataset, Dataset]:
        from models.training.airline.dataset import read_dataset, refuse_one_class, synthetic_dataset

        if self.data is None:
            training = synthetic_dataset(SAMPLE_ROWS, self.seed)
            test = synthetic_dataset(SAMPLE_TEST_ROWS, self.seed + 1) if self.test is None else read_dataset(self.test)
        else:
            training = read_dataset(self.data)
            if self.test is None:
                training, test = training.split(0.1, self.seed)
            else:
                test = read_dataset(self.test)
        refuse_one_class(training)
        refuse_one_class(test)
        return training, test


class Register(_RegistryCommand, Unsaid):
    """Registers a classifier's ONNX graph from elsewhere as a new version, in the form that workers serve.

    Inputs: per column a tensor [N] or [N, 1] of strings, doubles, floats or int64; or one matrix [N, F], and then
    --input-columns names its columns.
    Outputs: probabilities [N, K] (or of two classes one, [N] or [N, 1]), and optionally a label (strings or int64). A
    ZipMap behind the probabilities is cut off. All weights inside; any operator set that onnxruntime runs.

    What is served is the graph: on the rows of --example it is compared with the file as onnxruntime runs it, not with
    the library that it was exported from. skl2onnx's graphs of trees answer gaps otherwise than scikit-learn: use
    models.register_sklearn, which compares the two. Exports of XGBoost, LightGBM, CatBoost and scikit-learn name their
    classes themselves, those of Keras do not.
    """

    file: CliPositionalArg[Path] = Field(description="the .onnx file")
    example: Path | None = Field(None, description="CSV of raw rows to check with; from 500 rows on also for drift")

    def run(self) -> int:
        from mlflow.exceptions import MlflowException

        from models.onnx.given.sound import UnfitGraph
        from models.training.foreign import foreign_candidate, register_foreign
        from models.training.register import RegistrationRefused
        from models.training.rows import BadRows
        from models.training.tracking import Tracking

        try:
            candidate, rows = foreign_candidate(
                self.file,
                classes=names(self.classes),
                positive=self.positive,
                columns=names(self.input_columns),
                id_column=self.id_column,
                label_column=self.label_column,
                example=self.example,
            )
            tracking = Tracking(self.mlflow_tracking_uri, artifact_hosts=self.artifact_hosts)
            version = register_foreign(candidate, rows, self.file, tracking, self.model)
        except (UnfitGraph, RegistrationRefused, BadRows, MlflowException, OSError) as error:
            return _refused("register", error, self.mlflow_tracking_uri)
        print(f"{self.model} version {version}: `python -m models stage {version}` lets it score in the shadow")
        if self.classes is None:
            print(f"its classes, by the graph: {', '.join(candidate.classes)}")
        if self.positive is None and len(candidate.classes) == 2:
            print(f"its probability is that of {candidate.positive!r}, the second class; --positive names the other")
        return 0


COMMANDS: dict[str, type[Command]] = {"sample": Sample, "train": Train, "register": Register}


@contextmanager
def _progress() -> Iterator[Progress]:
    """Bars on a terminal, nothing elsewhere; stdout stays for results."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield bar


def _show(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def _print_outcomes(outcomes: Sequence[TrainingOutcome], model: str, training: str, test: str) -> None:
    table = Table(title=f"{model}: trained on {training}, measured on {test}", title_justify="left")
    for heading in ("model", "version", "alias"):
        table.add_column(heading)
    for heading in ("accuracy", "ROC AUC", "log loss", "seconds"):
        table.add_column(heading, justify="right")
    for one in outcomes:
        figures = (f"{one.metrics[name]:.4f}" for name in ("test_accuracy", "test_roc_auc", "test_log_loss"))
        table.add_row(one.kind, one.version, one.alias or "", *figures, f"{one.seconds:.1f}")
    Console().print(table)


def _refused(command: str, error: Exception, registry: str = "") -> int:
    print(harmless(f"{command}: {fit_to_show(str(error), registry)}"), file=sys.stderr)
    return 1


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has a number and no name
        return f"uid {os.getuid()}"
