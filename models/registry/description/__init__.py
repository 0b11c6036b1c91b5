"""A version's own description (MLmodel), read with suspicion."""
