"""The demos: one file's way from training to the comparison."""
