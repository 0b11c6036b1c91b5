"""What answers: a table's cells, and a graph in blocks of rows."""
