"""The Terraform module: well-formed, valid, tested, and with a reason wherever a policy check is passed over."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.emulators import missing
from tests.vms.terraform import MODULE, terraform

SKIP = re.compile(r"#checkov:skip=(CKV\w+)(.*)")
WHOLE_RUN = 300  # seconds: a cold cache of the offline provider, on a busy machine


def test_the_module_is_formatted():
    if shutil.which("terraform") is None:
        missing("terraform is not installed")

    done = subprocess.run(["terraform", "fmt", "-check", "-recursive", "-diff", MODULE], capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
@pytest.mark.timeout(WHOLE_RUN)
def test_the_module_is_valid(tmp_path):
    done = terraform("validate", tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "The configuration is valid" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(WHOLE_RUN)
def test_the_module_s_own_tests_pass(tested_module):
    [summary] = [message["test_summary"] for message in tested_module if message["type"] == "test_summary"]

    assert summary["status"] == "pass"
    assert summary["passed"] >= 5
    assert (summary["failed"], summary["errored"], summary["skipped"]) == (0, 0, 0)


def test_whoever_passes_over_a_policy_check_says_why():
    skipped = [found for path in MODULE.glob("*.tf") for found in SKIP.findall(path.read_text(encoding="utf-8"))]

    assert skipped
    assert [check for check, reason in skipped if not re.match(r":\w+(\W+\w+){3,}", reason)] == []


def test_the_readme_s_example_gives_variables_that_there_are():
    declared = dict(
        re.findall(r'variable "(\w+)" \{\n(.*?)\n\}', (MODULE / "variables.tf").read_text(encoding="utf-8"), re.DOTALL)
    )
    [example] = re.findall(
        r'    module "understudy" \{\n(.*?)\n    \}', (MODULE / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )

    given = set(re.findall(r"^ +(\w+) +=", example, re.MULTILINE)) - {"source"}

    assert given <= set(declared)
    assert {name for name, text in declared.items() if "  default " not in text} <= given
