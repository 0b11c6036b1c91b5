"""The queues there are."""
