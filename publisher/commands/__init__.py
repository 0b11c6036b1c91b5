"""The command line of `python -m publisher`."""
