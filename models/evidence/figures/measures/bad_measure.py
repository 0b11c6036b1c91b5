"""What cannot be judged by."""


class BadMeasure(Exception):
    """A measure, a guard or costs that cannot be used; the text says which, and what to write."""
