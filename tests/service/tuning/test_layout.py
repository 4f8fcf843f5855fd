"""The layouts that are thought of."""

import pytest

from service.tuning.layout import BATCHES, decode_counts, default_layout, divisions, grid


@pytest.mark.parametrize(
    ("cpus", "expected"),
    [
        (1, [(1, 1), (2, 1)]),
        (2, [(1, 2), (2, 1), (3, 1)]),
        (6, [(1, 6), (2, 3), (3, 2), (6, 1), (7, 1)]),
    ],
)
def test_runs_fill_the_processors(cpus: int, expected: list) -> None:
    assert divisions(cpus) == expected


@pytest.mark.parametrize(("cpus", "expected"), [(1, [0, 1]), (2, [0, 1, 2]), (6, [0, 1, 2, 4, 6])])
def test_what_decodes(cpus: int, expected: list) -> None:
    assert decode_counts(cpus) == expected


def test_the_grid_has_every_combination_once_and_the_defaults() -> None:
    layouts = list(grid(2))
    assert len(layouts) == len(set(layouts)) == 3 * len(BATCHES) * 3
    assert default_layout(2) in layouts
