"""The table of safeguards: the lines that keep each invariant of docs/design.md, and the tests that miss them."""

from __future__ import annotations

from tests.chaos.safeguards import delivery, evidence, meaning, registration, told
from tests.chaos.safeguards.safeguard import Safeguard as Safeguard

SAFEGUARDS = (
    *delivery.SAFEGUARDS,
    *meaning.SAFEGUARDS,
    *evidence.SAFEGUARDS,
    *told.SAFEGUARDS,
    *registration.SAFEGUARDS,
)
