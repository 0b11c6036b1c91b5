"""Pub/Sub as a queue."""
