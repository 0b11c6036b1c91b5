"""A fitted estimator becomes a candidate: converted, and compared with itself on probes."""
