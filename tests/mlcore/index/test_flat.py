"""The exact index against a sort."""

import numpy as np

from mlcore.index import FlatIndex
from tests.mlcore.index.conftest import unit


def test_finds_what_a_sort_finds() -> None:
    vectors, ids, queries = unit(300), np.arange(300)[::-1] * 7, unit(40, seed=1)
    index = FlatIndex.build(vectors, ids, "s")
    exact = (queries.astype(np.float64) @ vectors.T.astype(np.float64)).astype(np.float32)
    for allowed in (None, ids[ids % 2 == 0]):
        chosen = np.ones(300, dtype=bool) if allowed is None else np.isin(ids, allowed)
        found_ids, scores = index.search(queries, 5, allowed)
        for row in range(40):
            order = [place for place in np.lexsort((ids, -exact[row])) if chosen[place]][:5]
            assert found_ids[row].tolist() == ids[order].tolist()
            np.testing.assert_array_equal(scores[row], exact[row][order])


def test_ties_beyond_the_first_look_go_to_the_smaller_id() -> None:
    index = FlatIndex.build(np.repeat(unit(1, 64), 500, axis=0), np.arange(500)[::-1], "s")
    ids, scores = index.search(unit(1, 64), 4)
    assert ids.tolist() == [[0, 1, 2, 3]]
    assert len(set(scores[0].tolist())) == 1
