"""Following the registry: from a moved alias to the version in force."""
