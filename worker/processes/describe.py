"""Reading a version's description, away from whatever serves."""

from __future__ import annotations

from dataclasses import dataclass

from models.registry.description.read import read_spec
from models.registry.spec import ModelSpec, UnfitModel
from worker.processes.process import ScoringProcess, TaskFailed
from worker.processes.scoring_process import Workshop

READ_SECONDS = 60.0  # for what takes a hundredth of a second, on a machine that does other work


@dataclass(frozen=True)
class Describe:
    """The task of reading one `MLmodel` file; raises UnfitModel as `read_spec` does."""

    mlmodel: bytes
    name: str
    version: str

    def run(self, workshop: Workshop) -> ModelSpec:
        return read_spec(self.mlmodel, self.name, self.version)


def read_in(process: ScoringProcess, task: Describe) -> ModelSpec:
    """What the process gives for the task. Raises UnfitModel, and ScorerDied as `run` does.

    A process that ends or stands still over it speaks against the machine as well: the version is tried again.
    """
    try:
        return process.run(task, READ_SECONDS)
    except TaskFailed as error:
        if error.kind == UnfitModel.__name__:
            raise UnfitModel(str(error)) from None
        raise UnfitModel(
            f"{task.name} version {task.version}: its MLmodel file cannot be read ({error.kind}: {error})"
        ) from None
