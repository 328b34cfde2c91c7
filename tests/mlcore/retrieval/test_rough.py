"""The margin: it covers the error of a rough product, and neighbours at its very edge are kept."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.retrieval import Searcher, nearest, rough
from mlcore.retrieval.rough import UNIT, Rounded, fast_maxima, margin
from tests.mlcore.retrieval.conftest import make_rows, sorted_search, unit


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float32])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), dimension=st.integers(1, 400), scale=st.sampled_from([1e-3, 0.3, 1.0, 7.0]))
def test_the_margin_covers_the_error_of_two_scores(kind: torch.dtype, seed: int, dimension: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(2, 40, dimension, generator=generator) * scale
    # Half of them share their signs and the fractions of their numbers, for errors that do not cancel out.
    vectors[:, 20:] = vectors[:, 20:].abs().mul(2**10).round().div(2**10) + 2**-9 - 2**-16
    queries, gallery = Rounded.of(vectors[0], kind), Rounded.of(vectors[1], kind)
    scores = (queries.values @ gallery.values.T).double()  # (40, 40)
    error = (vectors[0].double() @ vectors[1].double().T - scores).abs()
    own = UNIT[kind] * scores.abs() if kind == torch.bfloat16 else 0.0  # the rounding of the score itself
    allowed = margin(queries, gallery, torch.zeros(40), score_unit=0.0) / 2
    assert (error - own <= allowed[:, None].double()).all()


def near_ties(kind: torch.dtype) -> tuple[np.ndarray, np.ndarray]:
    """A query and 5,000 gallery vectors whose order the type `kind` gets wrong.

    The better half is rounded down by it, the worse half rounded up, each by as much as it can be.
    """
    rng = np.random.default_rng(3)
    dimension, step = 64, float(UNIT[kind])
    query = np.full((1, dimension), 1 / np.sqrt(dimension), dtype=np.float32)  # a power of two: exact in any type
    base = 1 + 2 * step * rng.integers(0, 64, (5000, dimension))  # numbers of the type, between 1 and 2
    nudge = np.where(np.arange(5000)[:, None] % 2 == 0, 0.49, 0.51) * 2 * step
    return query, ((base + nudge) / (2 * np.sqrt(dimension))).astype(np.float32)


@pytest.mark.parametrize("kind", [torch.bfloat16])
@pytest.mark.parametrize("k", [1, 10, 100])
def test_adversarial_near_ties_are_ranked_exactly(kind: torch.dtype, k: int) -> None:
    query, gallery = near_ties(kind)
    q, g = make_rows(1, ids=[99_999], photos=[-1]), make_rows(5000)
    by_rough = (torch.from_numpy(query).to(kind) @ torch.from_numpy(gallery).to(kind).T)[0].float().numpy()
    index, similarity = sorted_search(query, gallery, q, g, k)
    searcher = Searcher(gallery, g)
    searcher.kind = kind
    found = searcher.nearest(query, q, k)
    np.testing.assert_array_equal(found.similarity, similarity)
    np.testing.assert_array_equal(found.index, index)
    assert set(np.argsort(-by_rough, kind="stable")[:k]) != set(index[0].tolist())  # the rough order is another one


def test_without_a_margin_neighbours_would_be_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery = near_ties(torch.bfloat16)
    q, g = make_rows(1, ids=[99_999], photos=[-1]), make_rows(5000)
    monkeypatch.setattr(rough, "margin", lambda queries, gallery, lowest, *, score_unit: torch.zeros_like(lowest))
    searcher = Searcher(gallery, g)
    searcher.kind = torch.bfloat16
    found = searcher.nearest(query, q, 10)
    assert not np.array_equal(found.similarity, sorted_search(query, gallery, q, g, 10)[1])


def test_many_near_equals_make_the_type_wider() -> None:
    rng = np.random.default_rng(1)
    vectors = unit(unit(rng.standard_normal((1, 32))) + 1e-4 * rng.standard_normal((4500, 32)))
    rows = make_rows(4500)
    search = rough.RoughSearch(torch.from_numpy(vectors), {}, torch.bfloat16, 5, 8)
    nothing = np.zeros(0, dtype=np.int64)
    search.candidates(torch.from_numpy(vectors[:8]), (nothing, nothing))
    assert search.kind != torch.bfloat16
    found = nearest(vectors[:8], vectors, rows.take(slice(0, 8)), rows, 5)
    np.testing.assert_array_equal(found.index, sorted_search(vectors[:8], vectors, rows.take(slice(0, 8)), rows, 5)[0])


@pytest.mark.parametrize(("precision", "residue"), [("highest", 0), ("high", 2**-11), ("medium", 2**-8)])
def test_float32_that_torch_may_round_has_the_margin_for_it(precision: str, residue: float) -> None:
    query, gallery = near_ties(torch.bfloat16)
    q, g = make_rows(1, ids=[99_999], photos=[-1]), make_rows(5000)
    searcher = Searcher(gallery, g)
    searcher.kind = torch.float32
    torch.set_float32_matmul_precision(precision)
    try:
        assert Rounded.of(torch.ones(3, 4), torch.float32).residues.tolist() == [2 * residue] * 3
        found = searcher.nearest(query, q, 10)
    finally:
        torch.set_float32_matmul_precision("highest")
    np.testing.assert_array_equal(found.index, sorted_search(query, gallery, q, g, 10)[0])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-2, 2))
def test_fast_maxima_are_those_of_blocks_with_a_positive_value(seed: int, shift: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    blocks = (torch.randn(5, 7, 3, generator=generator) + shift).bfloat16()
    blocks[0, 0] = -torch.inf
    found, largest = fast_maxima(blocks), blocks.amax(2)
    positive = largest > 0
    assert torch.equal(found[positive], largest[positive])
    assert (found[~positive] <= 0).all()
    assert (found[..., None] == blocks).any(2).all()
    assert torch.equal(fast_maxima(blocks.float()), blocks.float().amax(2))
