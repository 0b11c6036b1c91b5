"""Do two versions differ, and which is better: from a file's record to the verdict."""
