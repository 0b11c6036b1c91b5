"""The airline use case, the registry, the scoring interface and the evidence for a swap."""
