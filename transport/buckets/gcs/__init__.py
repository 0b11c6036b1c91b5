"""Cloud Storage as a bucket."""
