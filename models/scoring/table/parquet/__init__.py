"""Parquet as a table of cells: each value becomes the text that a CSV of the same table has."""
