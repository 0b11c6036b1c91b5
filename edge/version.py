"""Which release this is; the same as in pyproject.toml and in the images' labels."""

VERSION = "0.1.0"
