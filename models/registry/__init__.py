"""A version as the registry has it: what it is, where it is kept, which alias it stands under."""
