"""The task of reading a version's description, for a process that does not serve with it."""

from __future__ import annotations

from dataclasses import dataclass

from models.registry.description.read import read_spec
from models.registry.spec import ModelSpec
from worker.processes.scoring_process import Workshop

READ_SECONDS = 60.0  # it takes a hundredth of a second; the rest is for a busy machine


@dataclass(frozen=True)
class Describe:
    """The task of reading one `MLmodel` file; raises UnfitModel as `read_spec` does."""

    mlmodel: bytes
    name: str
    version: str

    def run(self, workshop: Workshop) -> ModelSpec:
        return read_spec(self.mlmodel, self.name, self.version)
