"""A CSV as a table of cells, and what each cell means."""
