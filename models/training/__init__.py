"""From labelled rows to a registered version."""
