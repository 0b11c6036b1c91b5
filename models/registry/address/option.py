"""The option that programs which fetch versions share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

ArtifactHosts = Annotated[
    str,
    Field(
        description="hosts and buckets, by commas, from which a version's files may come besides the registry's own "
        "host and artefact root"
    ),
]
