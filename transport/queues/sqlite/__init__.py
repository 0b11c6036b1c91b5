"""A file as a queue."""
