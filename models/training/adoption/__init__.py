"""A model that somebody logged to MLflow becomes a version: found, loaded once it is trusted, converted, registered."""
