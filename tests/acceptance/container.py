"""One container of ours, run as an operator should run it: not root, read-only, nothing it may do, memory capped."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.acceptance.checked import expect, until
from tests.acceptance.engine import Engine

HARDENED = ("--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--pids-limit", "512")


class Container:
    """A started container; `remove` it in the end."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine, self.name = engine, name

    @classmethod
    def start(
        cls,
        engine: Engine,
        name: str,
        image: str,
        *,
        memory: str,
        data: Path,
        environment: Mapping[str, str],
        arguments: Sequence[str] = (),
    ) -> Container:
        """Starts `image` without a network, with the folder `data` as its /data."""
        options = [*HARDENED, "--network", "none", "--memory", memory, "--memory-swap", memory]
        options += ["--volume", f"{data}:/data", "--name", name]
        options += [part for key, value in environment.items() for part in ("--env", f"{key}={value}")]
        engine.run("run", "--detach", *options, image, *arguments)
        return cls(engine, name)

    def state(self) -> Mapping[str, object]:
        """What `docker inspect` says of its state: Status, ExitCode, OOMKilled, Health."""
        found: Mapping[str, object] = json.loads(self._engine.run("inspect", "--format", "{{json .State}}", self.name))
        return found

    def health(self) -> str:
        return self._engine.run("inspect", "--format", "{{.State.Health.Status}}", self.name)

    def await_healthy(self, seconds: float) -> float:
        """Returns once it is: after how many seconds. Raises CheckFailed."""
        _, took = until(lambda: self.health() == "healthy", seconds, lambda: f"{self.name} healthy\n{self.told()}")
        return took

    def await_end(self, seconds: float) -> float:
        """Returns once it has ended by itself with status 0: after how many seconds. Raises CheckFailed."""
        _, took = until(
            lambda: self.state()["Status"] == "exited", seconds, lambda: f"{self.name} ended\n{self.told()}"
        )
        expect(self.state()["ExitCode"] == 0, f"{self.name} ended with {self.state()}\n{self.told()}")
        return took

    def stop(self, patience: int) -> float:
        """`docker stop`, as long as the engine waits before it kills; gives the seconds. It has to end with 0."""
        began = time.monotonic()
        self._engine.run("stop", "--time", str(patience), self.name, seconds=patience + 600)
        took = time.monotonic() - began
        state = self.state()
        expect(state["ExitCode"] == 0, f"{self.name}: stopped after {took:.1f} s with {state}\n{self.told()}")
        return took

    def told(self) -> str:
        """The end of its log, for whoever reads what failed."""
        done = self._engine.attempt("logs", "--tail", "20", self.name)
        return (done.stdout + done.stderr).strip()

    def remove(self) -> None:
        self._engine.attempt("rm", "--force", "--volumes", self.name)
