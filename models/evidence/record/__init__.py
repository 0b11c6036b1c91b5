"""What a worker writes down of one file that two versions scored."""
