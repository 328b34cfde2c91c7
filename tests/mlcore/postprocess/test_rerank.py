"""k-reciprocal re-ranking against loops over sets."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.config.postprocess import Rerank
from mlcore.postprocess import Indexed, Reranker, rerank
from tests.mlcore.postprocess.cases import Case, cases, cosine, make_case, may_meet, ranked
from tests.mlcore.retrieval.conftest import make_rows


class Naive:
    """The definition, one row and one set at a time."""

    def __init__(self, case: Case, config: Rerank) -> None:
        self.case, self.config = case, config
        self.lists = [ranked(case.gallery[j], case.g, j, case.gallery, case.g) for j in range(len(case.g))]
        self.plain = [self.gallery_encoding(j) for j in range(len(case.g))]
        self.encodings = [self.averaged(self.plain[j], self.lists[j]) for j in range(len(case.g))]

    def near(self, j: int, k: int) -> list[int]:
        return [h for h, _ in self.lists[j][:k]]

    def mutual(self, j: int, k: int) -> set[int]:
        return {j} | {h for h in self.near(j, k) if j in self.near(h, k)}

    def encoding(self, vector: np.ndarray, start: set[int], allowed: set[int]) -> dict[int, float]:
        members = set(start)
        for c in start:
            half = self.mutual(c, math.ceil(self.config.k1 / 2)) & allowed
            if 3 * len(half & start) >= 2 * len(half):
                members |= half
        weights = {h: math.exp(cosine(vector, self.case.gallery[h]) - 1) for h in members}
        return {h: weight / sum(weights.values()) for h, weight in weights.items()}

    def gallery_encoding(self, j: int) -> dict[int, float]:
        g = self.case.g
        allowed = {j} | {h for h in range(len(g)) if may_meet(g, j, g, h)}
        return self.encoding(self.case.gallery[j], self.mutual(j, self.config.k1), allowed)

    def averaged(self, own: dict[int, float], neighbours: list[tuple[int, float]]) -> dict[int, float]:
        parts = [own] + [self.plain[h] for h, _ in neighbours[: self.config.k2 - 1]]
        keys = set().union(*parts)
        return {h: sum(part.get(h, 0.0) for part in parts) / len(parts) for h in keys}

    def scores(self, i: int) -> list[tuple[int, float]]:
        case, config = self.case, self.config
        neighbours = ranked(case.queries[i], case.q, i, case.gallery, case.g)
        allowed = {j for j, _ in neighbours}
        start = set()
        for j, s in neighbours[: config.k1]:
            theirs = self.lists[j][: config.k1]
            if len(theirs) < config.k1 or s >= theirs[-1][1]:
                start.add(j)
        own = self.averaged(self.encoding(case.queries[i], start, allowed), neighbours)
        result = []
        for j, s in neighbours:
            least = sum(min(own.get(h, 0.0), self.encodings[j].get(h, 0.0)) for h in allowed)
            most = sum(max(own.get(h, 0.0), self.encodings[j].get(h, 0.0)) for h in allowed)
            result.append((j, 1 - ((1 - config.weight) * (1 - least / most) + config.weight * (1 - s))))
        return result


configs = st.builds(Rerank, k1=st.integers(1, 9), k2=st.integers(1, 4), weight=st.sampled_from([0.0, 0.3, 1.0]))


@settings(max_examples=60, deadline=None)
@given(cases, configs)
def test_equals_the_naive_loop(case: Case, config: Rerank) -> None:
    gallery = Indexed.of(case.gallery, case.g)
    lists = gallery.searcher.nearest(case.queries, case.q, 30)
    scores = Reranker(config, gallery).score(case.queries, case.q, lists)
    naive = Naive(case, config)
    for i in range(len(case.q)):
        expected = naive.scores(i)
        count = len(expected)
        assert lists.index[i, :count].tolist() == [j for j, _ in expected]
        np.testing.assert_allclose(scores[i, :count], [score for _, score in expected], atol=1e-6)
        assert np.isneginf(scores[i, count:]).all()


def test_pieces_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    case = make_case(11, 40)
    gallery = Indexed.of(case.gallery, case.g)
    lists = gallery.searcher.nearest(case.queries, case.q, 30)
    whole = Reranker(Rerank(k1=6, k2=3), gallery).score(case.queries, case.q, lists)
    monkeypatch.setattr(rerank, "ROWS_AT_ONCE", 3)
    np.testing.assert_array_equal(Reranker(Rerank(k1=6, k2=3), gallery).score(case.queries, case.q, lists), whole)


def test_a_neighbour_of_neighbours_overtakes_a_nearer_stranger() -> None:
    # An arc of one label on one side of the query; on the other a stranger with friends of its own close by: it is
    # nearer to the query than the end of the arc, but they share no neighbours.
    degrees = [2.0, 4.0, 6.0, 8.0, 10.0, -9.0, -9.5, -10.0, -10.5, -11.0]
    vectors = np.stack([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))], axis=1).astype(np.float32)
    g = make_rows(len(degrees), ids=list(range(1, 11)), photos=list(range(1, 11)))
    gallery = Indexed.of(vectors, g)
    query = np.array([[1, 0]], dtype=np.float32)
    lists = gallery.searcher.nearest(query, make_rows(1), 10)
    assert lists.index[0, :6].tolist() == [0, 1, 2, 3, 5, 6]
    scores = Reranker(Rerank(k1=4, k2=1), gallery).score(query, make_rows(1), lists)
    by_row = dict(zip(lists.index[0].tolist(), scores[0].tolist(), strict=True))
    assert min(by_row[row] for row in range(5)) > by_row[5]
