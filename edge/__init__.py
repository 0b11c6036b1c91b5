"""Where a program meets its person: the command line with its settings, the log, and what it says of itself."""
