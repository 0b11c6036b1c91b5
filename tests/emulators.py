"""The emulators for tests: where one is missing, tests are skipped, or with REQUIRE_EMULATORS=1 fail."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from deploy.emulators import NotInstalled, PubSubEmulator


def installed_pubsub_emulator() -> PubSubEmulator:
    """The installed one, not started; ends the test where there is none."""
    try:
        return PubSubEmulator.installed()
    except NotInstalled as error:
        missing(str(error))


def missing(reason: str) -> NoReturn:
    """Skips the test, or fails it where emulators are required."""
    if os.environ.get("REQUIRE_EMULATORS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
