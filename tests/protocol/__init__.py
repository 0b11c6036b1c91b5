"""Every interleaving of the real commit code."""
