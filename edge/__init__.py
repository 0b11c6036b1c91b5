"""Where a program meets its person: the command line with its settings, and the log."""
