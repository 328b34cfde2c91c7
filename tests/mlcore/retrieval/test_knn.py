"""Neighbours against a naive float64 loop: ties, exclusions, chunks, and the smallest cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.errors import InputError
from mlcore.retrieval import Neighbours, Rows, Searcher, knn, nearest


def make_rows(count: int, **given_columns: list[int]) -> Rows:
    """Distinct samples, unless told otherwise."""
    columns = {
        "ids": list(range(count)),
        "labels": [0] * count,
        "photos": list(range(1000, 1000 + count)),
        "sequences": [-1] * count,
    } | given_columns
    return Rows(**{name: np.array(values, dtype=np.int64) for name, values in columns.items()})


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


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


def test_many_columns_go_through_block_maxima() -> None:
    rng = np.random.default_rng(1)
    vectors = unit(rng.standard_normal((5000, 16)))
    vectors[4000:4100] = vectors[7]  # more copies than places in the list
    rows = make_rows(5000)
    assert 5000 // (8 * 9) >= 2
    result = nearest(vectors, vectors, rows, rows, 9)
    exact = (vectors.astype(np.float64) @ vectors.T.astype(np.float64)).astype(np.float32)
    np.fill_diagonal(exact, -np.inf)
    expected = np.argsort(-exact, axis=1, kind="stable")[:, :9]
    np.testing.assert_array_equal(result.index, expected)
    assert result.index[7].tolist() == list(range(4000, 4009))


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
    searcher = Searcher(np.zeros((1000, 2), dtype=np.float32), make_rows(1000))
    assert searcher.chunk * 1000 <= knn.SCORES_AT_ONCE
