import random
from itertools import product

import pytest

from steps.base.errors import InputError
from steps.scoring.tuning import best


def grid(errors):
    """Points at acoustic scales 0.1, 0.2 ... (columns) and insertion penalties 0, 1 ... (rows)."""
    return [
        {"acoustic_scale": 0.1 * (1 + a), "insertion_penalty": p, "silence_deweight": 1.0, "errors": e}
        for p, row in enumerate(errors)
        for a, e in enumerate(row)
    ]


def chosen(errors):
    point = best(grid(errors))
    return round(point["acoustic_scale"] * 10) - 1, point["insertion_penalty"]


def test_fewest_errors():
    assert chosen([[5, 4, 5], [4, 3, 4]]) == (1, 1)


def test_middle_of_a_plateau():
    assert chosen([[9, 9, 9, 9, 9], [9, 3, 3, 3, 9], [9, 3, 3, 3, 9], [9, 3, 3, 3, 9], [9, 9, 9, 9, 9]]) == (2, 2)


def test_a_lucky_point_at_a_cliff_is_not_taken():
    assert chosen([[60, 36, 25, 26, 28, 30, 29, 30, 33]]) == (4, 0)  # of 25 to 30
    assert chosen([[60, 36, 25, 26, 28, 31, 32, 33, 33]]) == (3, 0)  # of 25 to 28
    assert chosen([[100, 1, 100, 100, 100]]) == (1, 0)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([[3, 9], [9, 3]], (0, 0)),
        ([[9, 3], [3, 9]], (1, 0)),
        ([[3, 3], [3, 3]], (1, 0)),
        ([[9, 3, 9, 3, 9, 3]], (3, 0)),
        ([[3, 3, 3, 3]], (2, 0)),
    ],
)
def test_middle_then_lower_penalty_then_higher_scale(errors, expected):
    assert chosen(errors) == expected


def test_order_and_further_entries_do_not_matter():
    rng = random.Random(1)
    points = [
        {"insertion_penalty": p, "acoustic_scale": a, "silence_deweight": s, "errors": rng.randint(3, 5), "wer": 0.0}
        for p, a, s in product([0.0, 0.5, 1.0], [0.05, 0.1], [1.0, 2.7])
    ]
    expected = best(points)
    for _ in range(20):
        rng.shuffle(points)
        assert best(points) == expected


def test_options_that_the_grid_lacks():
    assert best([{"errors": 3}, {"errors": 2}]) == {"errors": 2}


def test_empty_grid():
    with pytest.raises(InputError, match="grid of decoding options is empty"):
        best([])
