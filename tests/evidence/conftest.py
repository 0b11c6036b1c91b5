"""The real programs around one bucket, for tests of the evidence that they leave."""

from tests.chaos.conftest import running as running
