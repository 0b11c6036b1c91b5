"""How fast it is, beside what one would otherwise do; run with `make bench`."""
