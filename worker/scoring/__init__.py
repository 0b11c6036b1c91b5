"""What a file goes through: read, validate, predict, write."""
