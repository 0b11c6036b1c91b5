"""Reading a version's description, away from whatever serves."""

from __future__ import annotations

from dataclasses import dataclass

from models.registry.description.read import read_spec
from models.registry.spec import ModelSpec
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
