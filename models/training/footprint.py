"""How much memory a version takes: what a process grows by while it loads the graph and scores its example.

Measured once, at the registration, in a process of its own: what a training holds would drown it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from models.registry.description.read import read_spec
from models.registry.spec import GRAPH_FILE, SPEC_FILE
from models.scoring.scorer import Scorer

PATIENCE_SECONDS = 300.0
_STATUS = Path("/proc/self/status")


def memory_bytes(version: Path) -> int | None:
    """Bytes for the version whose two files lie in this folder; None where it is no Linux, or cannot be loaded."""
    if not _STATUS.exists():
        return None
    done = subprocess.run(  # noqa: S603 - this very module
        [sys.executable, "-m", __name__, str(version.absolute())],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return int(done.stdout) if done.returncode == 0 else None


def _grown(version: Path) -> int:
    spec, graph = read_spec((version / SPEC_FILE).read_bytes(), "measured", "0"), version / GRAPH_FILE
    before = _resident()
    scorer = Scorer(graph.read_bytes(), spec)
    scorer.prepare()
    return max(0, _resident() - before)


def _resident() -> int:
    line = next(line for line in _STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    print(_grown(Path(sys.argv[1])))
