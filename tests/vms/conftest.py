from __future__ import annotations

from typing import Any

import pytest

from tests.vms.terraform import messages, terraform


@pytest.fixture(scope="session")
def tested_module(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What `terraform test` says of the module, its resources among it."""
    done = terraform("test", tmp_path_factory.mktemp("terraform"), "-json", "-verbose")
    said = messages(done.stdout)
    errors = [one["@message"] + str(one.get("diagnostic", "")) for one in said if one.get("@level") == "error"]
    assert (done.returncode, errors) == (0, []), done.stderr[-2000:]
    return said
