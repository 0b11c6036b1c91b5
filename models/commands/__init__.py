"""The command line of `python -m models`; nothing else of this room reads one."""
