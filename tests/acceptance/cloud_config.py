"""The cloud-config of a VM, made from its template: what Terraform's templatefile() and gcloud.sh make of it too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

TEMPLATE = Path(__file__).parents[2] / "deploy" / "terraform" / "cloud-config.yaml"
_NAME = re.compile(r"\$\{(\w+)\}")
_INDENT = "\n      "  # where the program's settings stand in the template


def rendered(
    *, image: str, image_from: str, memory: str, environment: Mapping[str, str], metadata_host: str = "169.254.169.254"
) -> str:
    """The cloud-config for a VM that runs `image` with the settings `environment`; the template explains the others.

    Raises ValueError for a value that would not stay on its line.
    """
    values = {"image": image, "image_from": image_from, "memory": memory, "metadata_host": metadata_host}
    for name, value in {**values, **environment}.items():
        if "\n" in value:
            raise ValueError(f"{name} is {value!r}: a value cannot have several lines")
    values["environment"] = _INDENT.join(f"{name}={value}" for name, value in sorted(environment.items()))
    return _NAME.sub(lambda found: values[found[1]], TEMPLATE.read_text(encoding="utf-8"))
