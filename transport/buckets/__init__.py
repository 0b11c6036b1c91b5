"""The buckets there are."""
