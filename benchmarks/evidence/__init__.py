"""What is promised of the evidence, by simulation: `python -m benchmarks.evidence` (a few minutes on one core)."""
