"""The first use case: airline passenger satisfaction."""
