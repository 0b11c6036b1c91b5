"""A graph as it was given: whether it is sound, what its outputs are, and which classes it names itself."""
