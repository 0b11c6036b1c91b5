"""`make audit`: are vulnerabilities known of what the lock files pin? Asks the Python Package Index, by pip-audit.

Findings end with status 1. Where nothing can be asked (no network, or a mirror of the index that does not tell of
vulnerabilities) that is said, in so many words, and the status is 0.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PIP_AUDIT = ROOT / ".venv-audit" / "bin" / "pip-audit"
SETS = ("worker", "dev", "uv", "audit")  # dev holds training too
_NO_NETWORK = ("Could not connect", "ConnectionError", "NameResolutionError", "Max retries exceeded", "timed out")


class AuditFailed(Exception):
    """pip-audit itself failed; its text is what it said."""


@dataclass(frozen=True)
class Audited:
    """`asked` packages were looked up, of `unknown` the index knew nothing, `findings` are lines for a person."""

    asked: int = 0
    unknown: int = 0
    findings: tuple[str, ...] = ()


def understood(status: int, out: str, err: str) -> Audited:
    """What pip-audit's answer means. Raises AuditFailed."""
    try:
        packages = json.loads(out)["dependencies"]
    except (ValueError, KeyError, TypeError):
        if status and any(sign in err for sign in _NO_NETWORK):
            return Audited()
        raise AuditFailed(err.strip()[-2000:] or f"pip-audit ended with status {status} and said nothing") from None
    findings = [
        f"{package['name']} {package['version']}: {found['id']}"
        + (f", mended in {', '.join(found['fix_versions'])}" if found.get("fix_versions") else ", not mended yet")
        for package in packages
        for found in package.get("vulns", ())
    ]
    unknown = sum("skip_reason" in package for package in packages)
    return Audited(len(packages) - unknown, unknown, tuple(findings))


def told(name: str, audited: Audited) -> str:
    """One set's result, in words."""
    if not audited.asked:
        return (
            f"{name}: NOT AUDITED, there is no network, or the index tells of no vulnerabilities; try again elsewhere"
        )
    words = f"{name}: {len(audited.findings)} findings in {audited.asked} packages"
    return words + (f"; {audited.unknown} more could NOT be looked up" if audited.unknown else "")


def main(pip_audit: Path = PIP_AUDIT) -> int:
    """Audits every set; gives the exit status."""
    found = False
    for name in SETS:
        lock = ROOT / "requirements" / f"{name}.txt"
        done = subprocess.run(
            [pip_audit, "-r", lock, "--disable-pip", "-f", "json", "--progress-spinner", "off"],
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            audited = understood(done.returncode, done.stdout, done.stderr)
        except AuditFailed as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
        print(told(name, audited))
        for line in audited.findings:
            print(f"  {line}")
        found = found or bool(audited.findings)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
