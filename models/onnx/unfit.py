"""What cannot become a graph."""


class UnfitStep(ValueError):
    """This estimator or step cannot be written as a graph; the text says why and what to do."""
