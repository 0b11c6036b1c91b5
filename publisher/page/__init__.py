"""The page of `--listen`: how things stand, for people with a browser. It reads, and changes nothing."""
