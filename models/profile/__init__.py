"""The analysis of a data set: `python -m models profile FILE`. Works for any table with a label."""
