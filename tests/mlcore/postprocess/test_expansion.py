"""Expansion against a loop over neighbours, and what must not change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.config.postprocess import GalleryAugmentation, QueryExpansion
from mlcore.postprocess import Expander, Indexed
from mlcore.retrieval import Rows
from tests.mlcore.postprocess.cases import Case, cases, ranked
from tests.mlcore.retrieval.conftest import make_rows


def naive(vectors: np.ndarray, rows: Rows, gallery: np.ndarray, g: Rows, k: int, alpha: float) -> np.ndarray:
    result = []
    for i, vector in enumerate(vectors):
        total = [float(x) for x in vector]
        for j, s in ranked(vector, rows, i, gallery, g)[:k]:
            weight = max(0.0, s) ** alpha
            total = [x + weight * float(y) for x, y in zip(total, gallery[j], strict=True)]
        norm = sum(x * x for x in total) ** 0.5
        result.append([x / norm for x in total])
    return np.array(result).reshape(vectors.shape)


@settings(max_examples=40, deadline=None)
@given(cases, st.integers(1, 6), st.sampled_from([0.0, 0.5, 3.0]))
def test_equals_the_naive_loop(case: Case, k: int, alpha: float) -> None:
    index = Indexed.of(case.gallery, case.g)
    expanded = Expander(QueryExpansion(k=k, alpha=alpha), index).expand(case.queries, case.q)
    assert expanded.dtype == np.float32
    expected = naive(case.queries, case.q, case.gallery, case.g, k, alpha)
    np.testing.assert_allclose(expanded, expected, atol=1e-6)
    augmented = Expander(GalleryAugmentation(k=k, alpha=alpha), index).expand(case.gallery, case.g)
    np.testing.assert_allclose(augmented, naive(case.gallery, case.g, case.gallery, case.g, k, alpha), atol=1e-6)


def test_neighbours_on_the_far_side_do_not_join() -> None:
    gallery = np.array([[-1, 0]], dtype=np.float32)
    index = Indexed.of(gallery, make_rows(1, ids=[7], photos=[7]))
    query = np.array([[1, 0]], dtype=np.float32)
    expanded = Expander(QueryExpansion(alpha=3), index).expand(query, make_rows(1))
    np.testing.assert_array_equal(expanded, query)


@pytest.mark.parametrize("gallery", [0, 1])
def test_zeros_stay_zeros_and_a_lonely_query_stays_itself(gallery: int) -> None:
    index = Indexed.of(np.zeros((gallery, 2), dtype=np.float32), make_rows(gallery))
    queries = np.array([[0, 0], [0.6, 0.8]], dtype=np.float32)
    expanded = Expander(QueryExpansion(), index).expand(queries, make_rows(2, ids=[5, 6]))
    np.testing.assert_allclose(expanded, queries, atol=1e-7)


def test_the_input_is_not_written_to() -> None:
    vectors = np.eye(3, dtype=np.float32)
    rows = make_rows(3)
    before = vectors.copy()
    Expander(GalleryAugmentation(alpha=0), Indexed.of(vectors, rows)).expand(vectors, rows)
    np.testing.assert_array_equal(vectors, before)
