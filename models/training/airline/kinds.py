"""The kinds of model of this use case: a fourth one is a file with a `train`, and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from models.registry.client import PRODUCTION, STAGING
from models.training.airline import boosting, forest, network
from models.training.trained import Trained

TRAINERS: Mapping[str, Callable[..., Trained]] = {
    "forest": forest.train,
    "network": network.train,
    "boosting": boosting.train,
}
# The alias that a first model of this kind gets where nobody has it yet.
FIRST_ALIAS: Mapping[str, str] = {"forest": PRODUCTION, "network": STAGING}
