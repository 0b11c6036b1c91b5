"""Where the records and the labels come from: the bucket, and files of labels."""
