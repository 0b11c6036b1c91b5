"""Who is told: what happens leaves as messages to receivers over HTTP, from threads that no work waits for."""
