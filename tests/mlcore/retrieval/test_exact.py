"""The similarity that all goes by: float64 in its making, one value for a pair, and its order."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.errors import InputError
from mlcore.retrieval import exact
from mlcore.retrieval.exact import as_float32, exact_similarity, sort_lists
from tests.mlcore.retrieval.conftest import unit


def pairs(rng: np.random.Generator, count: int, queries: int, gallery: int) -> tuple[np.ndarray, np.ndarray]:
    return np.sort(rng.integers(0, queries, count)), rng.integers(0, gallery, count)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("dimension", [1, 3, 8, 31, 384])
def test_equals_the_naive_loop(dimension: int, wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "PRECISE_BYTES", 8 * dimension * 50)  # in pieces of 50 pairs
    rng = np.random.default_rng(dimension)
    queries, gallery = unit(rng.standard_normal((7, dimension))), unit(rng.standard_normal((40, dimension)))
    rows, columns = pairs(rng, 170, 7, 40)
    vectors = torch.from_numpy(gallery)
    found = exact_similarity(torch.from_numpy(queries), vectors.double() if wide else vectors, rows, columns)
    for value, row, column in zip(found, rows, columns, strict=True):
        dot = sum(float(a) * float(b) for a, b in zip(queries[row], gallery[column], strict=True))
        assert value == np.float32(dot)


def test_a_pair_has_one_value_wherever_it_stands() -> None:
    rng = np.random.default_rng(0)
    vectors = torch.from_numpy(unit(rng.standard_normal((300, 100))))
    rows, columns = np.repeat(np.arange(300), 300), np.tile(np.arange(300), 300)
    whole = exact_similarity(vectors, vectors, rows, columns).reshape(300, 300)
    np.testing.assert_array_equal(whole, whole.T)
    for row in (0, 17, 299):
        alone = exact_similarity(vectors[row : row + 1], vectors[40:43], np.zeros(3, dtype=np.int64), np.arange(3))
        np.testing.assert_array_equal(alone, whole[row, 40:43])


def test_gathered_as_on_an_accelerator_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "PRECISE_BYTES", 16 * 20 * 7)  # in pieces of 7 pairs
    rng = np.random.default_rng(1)
    left, right = (torch.from_numpy(unit(rng.standard_normal((30, 20)))).double() for _ in range(2))
    rows, columns = pairs(rng, 100, 30, 30)
    found = exact.gathered_products(left, right, rows, columns)
    assert torch.equal(found.float(), exact.sparse_products(left, right, rows, columns).float())


def test_no_pairs() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert exact_similarity(torch.zeros(2, 4), torch.zeros(3, 4), nothing, nothing).shape == (0,)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(0, 40), st.integers(1, 9))
def test_lists_are_sorted_by_score_and_column(seed: int, count: int, candidates: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(count * 50, candidates, replace=False))
    rows, columns = chosen // 50, chosen % 50
    scores = rng.choice(np.array([-1, -0.5, -0.0, 0.0, 1e-30, 0.25, 1, 1.5], dtype=np.float32), candidates)
    positions, values = sort_lists(rows, columns, scores, count, k)
    for row in range(count):
        mine = rows == row
        expected = sorted(zip((-scores[mine]).tolist(), columns[mine].tolist(), strict=True))[:k]
        length = len(expected)
        assert positions[row].tolist() == [column for _, column in expected] + [-1] * (k - length)
        assert values[row, :length].tolist() == [-score for score, _ in expected]
        assert np.isneginf(values[row, length:]).all()


def test_large_columns_keep_their_number() -> None:
    positions, _ = sort_lists(np.zeros(2, dtype=np.int64), np.array([5, 2**32 - 2]), np.ones(2, dtype=np.float32), 1, 2)
    assert positions.tolist() == [[5, 2**32 - 2]]


def test_only_tables_of_numbers_are_embeddings() -> None:
    with pytest.raises(InputError, match="shape"):
        as_float32(np.zeros(3))
    with pytest.raises(InputError, match="2 of 3 embeddings"):
        as_float32(np.array([[np.inf, -np.inf], [0, 0], [np.nan, 0]]))
    half = as_float32(np.full((2, 2), 60000, dtype=np.float16))
    assert half.dtype == np.float32
    values = np.full((2, 2), 3e38, dtype=np.float32)  # a float32 sum would be infinite
    assert as_float32(values) is values
