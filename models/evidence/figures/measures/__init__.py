"""By what two models are compared: each measure's evidence at every look, in points or in its own unit."""
