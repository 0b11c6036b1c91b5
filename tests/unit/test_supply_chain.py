"""What the programs are made of, and whether anything bad is known of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy import audit
from deploy.audit import Audited, AuditFailed, told, understood

ROOT = Path(__file__).parents[2]
FINE = {"name": "a", "version": "1.0", "vulns": []}
BAD = {"name": "b", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}, {"id": "PYSEC-2"}]}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


def answer(*packages):
    return json.dumps({"dependencies": list(packages), "fixes": []})


def test_findings_are_told_with_the_version_that_mends_them():
    audited = understood(1, answer(FINE, BAD, UNKNOWN), "Found 2 known vulnerabilities")

    assert audited == Audited(2, 1, ("b 2.0: PYSEC-1, mended in 2.1", "b 2.0: PYSEC-2, not mended yet"))
    assert told("worker", audited) == "worker: 2 findings in 2 packages; 1 more could NOT be looked up"


@pytest.mark.parametrize(
    "answered",
    [
        (1, "", "requests.exceptions.ConnectionError: Failed to resolve"),
        (1, "", "ERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed"),
        (0, answer(UNKNOWN, UNKNOWN), "No known vulnerabilities found, 2 packages skipped"),
    ],
)
def test_where_nothing_could_be_asked_nothing_is_called_safe(answered):
    assert "NOT AUDITED" in told("worker", understood(*answered))
    assert understood(*answered).findings == ()


def test_any_other_failure_of_the_tool_is_a_failure():
    with pytest.raises(AuditFailed, match="no such option"):
        understood(2, "", "error: no such option")
    with pytest.raises(AuditFailed, match="said nothing"):
        understood(-9, "", "")


@pytest.mark.parametrize(
    ("packages", "status", "expected"),
    [((FINE,), 0, 0), ((FINE, BAD), 1, 1), ((UNKNOWN,), 0, 0)],
)
def test_the_exit_status_says_whether_there_are_findings(tmp_path, capsys, packages, status, expected):
    tool = tmp_path / "pip-audit"
    tool.write_text(f"#!/bin/sh\necho '{answer(*packages)}'\nexit {status}\n")
    tool.chmod(0o755)

    assert audit.main(tool) == expected

    assert len(capsys.readouterr().out.splitlines()) >= len(audit.SETS)


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.timeout(300)
def test_the_bill_of_materials_holds_every_pinned_package_with_its_hashes():
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    subprocess.run(["make", "sbom"], cwd=ROOT, check=True, capture_output=True)

    for name in ("worker", "training", "dev"):
        bill = json.loads((ROOT / "sbom" / f"{name}.cdx.json").read_text())
        lock = (ROOT / "requirements" / f"{name}.txt").read_text()
        pinned = dict(re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;]+)", lock, flags=re.M))
        assert len(pinned) > 40
        assert bill["bomFormat"] == "CycloneDX"
        assert {part["name"]: part["version"] for part in bill["components"]} == pinned
        listed = {
            hash["content"]
            for part in bill["components"]
            for ref in part["externalReferences"]
            for hash in ref["hashes"]
        }
        assert listed == set(re.findall(r"--hash=sha256:([0-9a-f]{64})", lock))
