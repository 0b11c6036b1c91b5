"""Models as people bring them: each is served equal on every row, or refused with one sentence."""
