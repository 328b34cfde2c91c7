"""Sets of gallery rows."""

import numpy as np

from mlcore.postprocess.sets import Sets, merged


def test_sets_are_asked_for_in_any_order() -> None:
    sets = Sets.of_parts(
        [
            (np.array([0, 0]), np.array([4, 2]), np.array([0.5, 0.25])),
            (np.array([2]), np.array([7]), np.array([1.0])),
        ],
        4,
    )
    place, members, weights = sets.of(np.array([2, 1, 0, 2]))
    assert place.tolist() == [0, 2, 2, 3]
    assert members.tolist() == [7, 4, 2, 7]
    assert weights.tolist() == [1.0, 0.5, 0.25, 1.0]


def test_no_sets() -> None:
    assert all(len(part) == 0 for part in Sets.of_parts([], 0).of(np.zeros(0, dtype=np.int64)))


def test_equal_keys_are_added() -> None:
    keys, sums = merged(np.array([5, 1, 5]), np.array([1.0, 2.0, 4.0]))
    assert keys.tolist() == [1, 5]
    assert sums.tolist() == [2.0, 5.0]
