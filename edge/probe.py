"""`python -m edge.probe`: asks a program on this machine how it is, for a container's HEALTHCHECK."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from edge.command import Command, main


class Probe(Command):
    """Status 0 where the URL answers 200, else 1 with what it says. Variables: UNDERSTUDY_PROBE_URL, …_TIMEOUT."""

    model_config = SettingsConfigDict(**{**Command.model_config, "env_prefix": "PROBE_"})

    url: str = Field("http://127.0.0.1:9464/healthz", pattern="^https?://", description="what is asked")
    timeout: float = Field(5.0, gt=0, description="seconds to wait for the answer")

    def run(self) -> int:
        """Asks once."""
        # No proxy: the answer of one would say nothing about the program here.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self.url, timeout=self.timeout) as answer:
                status, body = answer.status, answer.read(10_000)
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read(10_000)
        except OSError as error:
            print(f"{self.url} does not answer: {error}")
            return 1
        if status == 200:
            return 0
        print(f"{self.url} answers {status}: {body.decode(errors='replace').strip()}")
        return 1


if __name__ == "__main__":
    sys.exit(main("edge.probe", Probe.__doc__ or "", {}, default=Probe))
