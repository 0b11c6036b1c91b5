"""What a graph from elsewhere is asked before it becomes a version: all that is known of it is what it answers."""
