"""Hard negatives: of the background, what a classifier takes for an object.

Background is without end, and most of it is easy. R-CNN (arXiv 1311.2524, section 2.3) trains on a
little, adds what the classifier is wrong about, and trains again.
"""

import numpy as np
from numpy.typing import NDArray

from models.training.head.linear import MIDDLE, Kind, Samples, Scaling, solve

FIRST_SHARE = 0.2  # of the background, at random, that the first round is trained on
MARGIN = -1.0  # a background's score above which it is within an SVM's margin, or on its wrong side


def hard_negatives(
    kind: Kind, objects: Samples, background: Samples, rounds: int, seed: int
) -> tuple[NDArray[np.bool_], list[int]]:
    """Which of ``background`` to train on beside ``objects``, bool [N], and how many of them were
    there at first and came in each of at most ``rounds`` rounds."""
    count = len(background.labels)
    chosen = np.zeros(count, dtype=bool)
    first = min(count, max(round(FIRST_SHARE * count), len(objects.labels)))
    chosen[np.random.default_rng(seed).permutation(count)[:first]] = True
    added = [first]
    for _ in range(rounds):
        if chosen.all():
            break
        trained = objects.and_also(background.where(chosen))
        scaling = Scaling.of(trained.features)
        classifier = scaling.undo(solve(kind, MIDDLE, scaling.apply(trained)))
        scores = classifier.logits(background.features)
        hard = (scores > MARGIN).any(axis=1) & ~chosen
        added.append(int(hard.sum()))
        if not hard.any():
            break
        chosen |= hard
    return chosen, added
