"""Of the background, what is trained on is a little of it and what looks like objects."""

import numpy as np
import pytest

from models.training.head.linear import BACKGROUND, Kind, Samples
from models.training.head.mining import hard_negatives

EASY, HARD = 400, 12


def made(rng: np.random.Generator, middle: list[float], number: int, label: int) -> Samples:
    features = np.array(middle) + 0.2 * rng.normal(size=(number, len(middle)))
    return Samples(features, np.full(number, label), np.arange(number) % 5, 1)


@pytest.mark.parametrize("kind", ["logistic", "svm"])
def test_what_looks_like_an_object_is_added(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    objects = made(rng, [3, 0, 0, 1], 10, 0)
    background = made(rng, [-3, 0, 0, 0], EASY, BACKGROUND)
    background = background.and_also(made(rng, [3, 0, 0, 0.8], HARD, BACKGROUND))
    chosen, added = hard_negatives(kind, objects, background, rounds=2, seed=0)
    assert chosen[EASY:].all()
    assert chosen.sum() < EASY / 2
    assert sum(added) == chosen.sum()
    none, first = hard_negatives(kind, objects, background, rounds=0, seed=0)
    assert none.sum() == first[0] == round(0.2 * (EASY + HARD))


def test_rounds_end_once_nothing_is_hard() -> None:
    rng = np.random.default_rng(0)
    background = made(rng, [-3, 0, 0, 0], EASY, BACKGROUND)
    _, added = hard_negatives("svm", made(rng, [3, 0, 0, 0], 10, 0), background, 9, seed=0)
    assert added[0] == EASY // 5
    assert added[-1] == 0
    assert len(added) < 9
    assert sum(added) < EASY / 2
