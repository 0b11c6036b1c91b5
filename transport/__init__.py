"""How objects and messages move: the ports `Bucket` and `Queue`, the `ObjectEvent`, and an adapter for each place."""
