"""What acts on a verdict: promotion, and the watcher."""
