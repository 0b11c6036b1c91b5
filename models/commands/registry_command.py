"""What the commands over one registered model have in common."""

from __future__ import annotations

import sys

from edge.options import ArtifactHosts, ModelOption, RegistryOption
from edge.terminal import harmless
from models.registry.aliases import MoveRefused
from models.registry.challengers import CHALLENGERS
from models.registry.client import PRODUCTION, Registry, RegistryUnreachable
from models.registry.spec import UnfitModel

ROLE_STYLE = {PRODUCTION: "bold green", **dict.fromkeys(CHALLENGERS, "bold yellow")}


class NotProven(MoveRefused):
    """The evidence does not allow a move."""


class RegistryCommand(ModelOption, RegistryOption):
    """A command over one registered model."""

    artifact_hosts: ArtifactHosts = ""

    def run(self) -> int:
        """Does the work; refusals end with a line on stderr and status 1, or 3 where evidence is what is missing."""
        try:
            self.act(Registry(self.mlflow_tracking_uri, self.model, artifact_hosts=self.artifact_hosts))
        except NotProven as refusal:
            print(harmless(str(refusal)), file=sys.stderr)
            return 3
        except (MoveRefused, RegistryUnreachable, UnfitModel) as refusal:
            print(harmless(str(refusal)), file=sys.stderr)
            return 1
        return 0

    def act(self, registry: Registry) -> None:
        """What the command does with the registry."""
        raise NotImplementedError
