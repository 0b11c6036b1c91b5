"""Whether the labels that a graph gives itself are those of its most probable classes, in the order that was named."""

from __future__ import annotations

from collections import Counter

import numpy as np

from models.training.elsewhere.asked import Asked
from models.training.register import TOLERANCE, Candidate, RegistrationRefused


def refuse_other_order(candidate: Candidate, asked: Asked, *, names_itself: bool) -> None:
    """Raises RegistrationRefused where a label is another class's, draws aside.

    `names_itself`: the graph itself names the classes of its probabilities. Then it may decide by another rule, as a
    support vector machine does, so long as most labels of each are its own.
    """
    labels, probabilities = asked.scores.labels[asked.answered], asked.scores.probabilities[asked.answered]
    best = np.sort(probabilities, axis=1)
    sure = best[:, -1] - best[:, -2] > 2 * TOLERANCE
    places = probabilities.argmax(axis=1)
    wrong = sure & (labels != np.array(candidate.classes, dtype=object)[places])
    if not wrong.any():
        return
    seen = [Counter(labels[sure & (places == place)]).most_common(1) for place in range(len(candidate.classes))]
    order = [str(found[0][0]) if found else "?" for found in seen]
    if names_itself and all(found in (name, "?") for found, name in zip(order, candidate.classes, strict=True)):
        return
    raise RegistrationRefused(
        f"on {np.count_nonzero(wrong)} of {np.count_nonzero(sure)} rows the graph's own label is not the most probable "
        f"of the classes {', '.join(map(repr, candidate.classes))} (--classes): by its labels the probabilities are in "
        f"the order {', '.join(map(repr, order))}; name the classes in the order of the probabilities. Where the graph "
        f"decides by another rule on purpose, register it without its label output"
    )
