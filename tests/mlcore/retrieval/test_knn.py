"""Neighbours against a naive float64 loop and a sort: ties, exclusions, chunks, and the smallest cases."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.errors import InputError
from mlcore.retrieval import Neighbours, Rows, Searcher, knn, nearest, rough
from tests.mlcore.retrieval.conftest import clusters, make_rows, random_rows, sorted_search, unit


def naive(queries: np.ndarray, gallery: np.ndarray, q: Rows, g: Rows, k: int) -> tuple[list, list, list]:
    """Lists of (position, similarity) and R, one pair at a time, in float64."""
    lists, relevant = [], []
    for i in range(len(queries)):
        found, count = [], 0
        for j in range(len(gallery)):
            same_burst = q.sequences[i] >= 0 and q.sequences[i] == g.sequences[j]
            if q.ids[i] == g.ids[j] or q.photos[i] == g.photos[j] or same_burst:
                continue
            count += int(q.labels[i] == g.labels[j] and q.labels[i] >= 0)
            dot = sum(float(a) * float(b) for a, b in zip(queries[i], gallery[j], strict=True))
            found.append((-np.float32(dot), int(g.ids[j]), j))
        lists.append([(j, -negative) for negative, _, j in sorted(found)[:k]])
        relevant.append(count)
    return [[j for j, _ in row] for row in lists], [[s for _, s in row] for row in lists], relevant


def as_lists(result: Neighbours) -> list[list[int]]:
    return [[int(j) for j in row if j >= 0] for row in result.index]


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, Rows, np.ndarray, np.ndarray]:
    """Few distinct vectors, so that ties abound; shuffled ids; photos and sequences that are shared."""
    count = draw(st.integers(1, 24))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    prototypes = unit(rng.integers(-2, 3, (draw(st.integers(1, 6)), 5)) + 1e-3)
    vectors = prototypes[rng.integers(0, len(prototypes), count)]
    rows = Rows(
        ids=rng.permutation(count).astype(np.int64) * 3,
        labels=rng.integers(-1, 4, count),
        photos=rng.integers(0, 2 * count, count),
        sequences=rng.integers(-3, 3, count),
    )
    flags = rng.integers(1, 4, count)
    return vectors, rows, (flags & 1).astype(bool), (flags & 2).astype(bool)


@settings(max_examples=150, deadline=None)
@given(cases(), st.integers(1, 30), st.integers(1, 7))
def test_equals_the_naive_loop(case: tuple[np.ndarray, Rows, np.ndarray, np.ndarray], k: int, chunk: int) -> None:
    vectors, rows, is_query, is_gallery = case
    q, g = rows.take(is_query), rows.take(is_gallery)
    result = nearest(vectors[is_query], vectors[is_gallery], q, g, k, chunk=chunk)
    index, similarity, relevant = naive(vectors[is_query], vectors[is_gallery], q, g, k)
    assert as_lists(result) == index
    assert result.relevant.tolist() == relevant
    for row, expected in zip(result.similarity, similarity, strict=True):
        np.testing.assert_array_equal(row[: len(expected)], np.array(expected, dtype=np.float32))
        assert np.isneginf(row[len(expected) :]).all()


@pytest.mark.parametrize("kind", rough.ROUGH)
@pytest.mark.parametrize(("count", "k"), [(900, 9), (900, 900), (5000, 1), (5000, 9), (5000, 100)])
def test_large_galleries_against_a_sort(count: int, k: int, kind: torch.dtype) -> None:
    rng = np.random.default_rng(count + k)
    vectors, rows = clusters(rng, count, 24), random_rows(rng, count)
    vectors[count // 2 : count // 2 + 120] = vectors[7]  # more copies than places in the list
    part = slice(0, 300)
    searcher = Searcher(vectors, rows)
    searcher.kind = kind
    found = searcher.nearest(vectors[part], rows.take(part), k)
    index, similarity = sorted_search(vectors[part], vectors, rows.take(part), rows, k)
    np.testing.assert_array_equal(found.similarity, similarity)
    np.testing.assert_array_equal(found.index, index)


def test_all_similarities_below_zero() -> None:
    rng = np.random.default_rng(8)
    gallery = -np.abs(unit(rng.standard_normal((4500, 16))))
    queries, rows = np.abs(unit(rng.standard_normal((40, 16)))), make_rows(4500)
    q = make_rows(40, ids=list(range(9000, 9040)), photos=[-1] * 40)
    found = nearest(queries, gallery, q, rows, 5)
    np.testing.assert_array_equal(found.index, sorted_search(queries, gallery, q, rows, 5)[0])


@pytest.mark.parametrize("spread", [0.0, 1e-8, 1e-6, 1e-4, 1e-2])
def test_a_collapsed_model_is_still_ranked_exactly(spread: float) -> None:
    rng = np.random.default_rng(4)
    vectors = unit(unit(rng.standard_normal((1, 48))).astype(np.float64) + spread * rng.standard_normal((4200, 48)))
    rows = random_rows(rng, 4200)
    part = slice(0, 25)
    found = nearest(vectors[part], vectors, rows.take(part), rows, 20)
    np.testing.assert_array_equal(found.index, sorted_search(vectors[part], vectors, rows.take(part), rows, 20)[0])


def test_all_equal_gives_the_smallest_ids_every_time() -> None:
    vectors = np.repeat(unit(np.random.default_rng(3).standard_normal((1, 384))), 3000, axis=0)
    rows = make_rows(3000, ids=list(range(3000))[::-1])  # descending ids
    for chunk in (1, 7, 3000):
        result = nearest(vectors[:20], vectors, rows.take(slice(0, 20)), rows, 5, chunk=chunk)
        assert (rows.ids[result.index] == [0, 1, 2, 3, 4]).all()


def test_one_query_alone_equals_the_batch() -> None:
    rng = np.random.default_rng(2)
    vectors = unit(rng.standard_normal((700, 96)))
    rows = make_rows(700)
    searcher = Searcher(vectors, rows)
    batch = searcher.nearest(vectors, rows, 20)
    for row in range(0, 700, 50):
        alone = searcher.nearest(vectors[row : row + 1], rows.take(slice(row, row + 1)), 20)
        np.testing.assert_array_equal(alone.index[0], batch.index[row])
        np.testing.assert_array_equal(alone.similarity[0], batch.similarity[row])


def test_half_precision_is_searched_in_float32() -> None:
    vectors = unit(np.random.default_rng(4).standard_normal((50, 8))).astype(np.float16)
    rows = make_rows(50)
    half, full = (nearest(v, v, rows, rows, 5) for v in (vectors, vectors.astype(np.float32)))
    np.testing.assert_array_equal(half.index, full.index)
    assert half.similarity.dtype == np.float32


def test_a_copy_of_the_query_is_no_neighbour_but_an_equal_vector_is() -> None:
    vectors = unit(np.ones((3, 4)))
    rows = make_rows(3, photos=[5, 5, 6])
    result = nearest(vectors, vectors, rows, rows, 3)
    assert as_lists(result) == [[2], [2], [0, 1]]
    assert result.relevant.tolist() == [1, 1, 2]


def test_cosine_and_euclidean_distances_rank_unit_vectors_alike() -> None:
    vectors = unit(np.random.default_rng(12).standard_normal((60, 7)))
    rows = make_rows(60)
    found = nearest(vectors, vectors, rows, rows, 59)
    squared = ((vectors[:, None].astype(np.float64) - vectors[None]) ** 2).sum(2)
    np.fill_diagonal(squared, np.inf)
    np.testing.assert_array_equal(found.index, np.argsort(squared, axis=1)[:, :59])
    expected = 1 - np.sort(squared, axis=1)[:, :59] / 2
    np.testing.assert_allclose(found.similarity, expected, atol=1e-6)


def test_smallest_cases() -> None:
    one, rows = unit(np.ones((1, 4))), make_rows(1)
    nothing, none = np.zeros((0, 4), dtype=np.float32), make_rows(0)
    assert nearest(one, nothing, rows, none, 5).index.shape == (1, 0)
    assert nearest(nothing, one, none, rows, 5).index.shape == (0, 1)
    alone = nearest(one, one, rows, rows, 5)
    assert as_lists(alone) == [[]]
    assert alone.relevant.tolist() == [0]
    other = make_rows(1, ids=[9], photos=[9])
    assert as_lists(nearest(one, one, rows, other, 5)) == [[0]]


def test_one_long_sequence_leaves_no_neighbour() -> None:
    vectors = unit(np.random.default_rng(5).standard_normal((40, 4)))
    rows = make_rows(40, sequences=[3] * 40)
    result = nearest(vectors, vectors, rows, rows, 5)
    assert (result.index == -1).all()
    assert (result.relevant == 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    vectors = unit(np.ones((3, 4)))
    vectors[1, 2] = bad
    with pytest.raises(InputError, match="1 of 3 embeddings"):
        nearest(vectors, vectors, make_rows(3), make_rows(3), 2)


def test_shapes_that_do_not_fit_are_refused() -> None:
    vectors = unit(np.ones((3, 4)))
    with pytest.raises(InputError, match="3 embeddings for 2 gallery rows"):
        nearest(vectors, vectors, make_rows(3), make_rows(2), 2)
    with pytest.raises(InputError, match="dimensions"):
        nearest(unit(np.ones((3, 5))), vectors, make_rows(3), make_rows(3), 2)


def test_chunks_bound_the_scores_in_memory() -> None:
    few = Searcher(np.zeros((1000, 2), dtype=np.float32), make_rows(1000))
    many = Searcher(np.zeros((100_000, 2), dtype=np.float32), make_rows(100_000))
    assert few.chunk == knn.QUERIES_AT_MOST
    assert many.chunk * 100_000 <= knn.SCORES_AT_ONCE


def test_no_64_bit_copy_of_a_gallery_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knn, "PRECISE_BYTES", 1000)
    rng = np.random.default_rng(6)
    vectors, rows = clusters(rng, 500, 16), random_rows(rng, 500)
    searcher = Searcher(vectors, rows)
    found = searcher.nearest(vectors, rows, 30)
    np.testing.assert_array_equal(found.index, sorted_search(vectors, vectors, rows, rows, 30)[0])
    assert torch.float64 not in searcher.copies
