"""Score normalisation against loops over the cohort, with and without one of its own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.config.postprocess import CSLS, SNorm, ZNorm
from mlcore.postprocess import CSLSScorer, Indexed, SNormScorer, ZNormScorer, normalisation
from mlcore.retrieval import Rows
from tests.mlcore.postprocess.cases import Case, cases, cosine, make_case, ranked
from tests.mlcore.retrieval.conftest import clusters, make_rows


def naive_moments(scores: list[float]) -> tuple[float, float]:
    if len(scores) < 2:
        return 0.0, 1.0
    mean = sum(scores) / len(scores)
    return mean, max((sum((s - mean) ** 2 for s in scores) / len(scores)) ** 0.5, 1e-6)


def cohort_scores(vector: np.ndarray, rows: Rows, i: int, case: Case, cohort: np.ndarray | None) -> list[float]:
    """Falling cosines with the whole cohort."""
    if cohort is None:
        return [s for _, s in ranked(vector, rows, i, case.gallery, case.g)]
    return sorted((cosine(vector, other) for other in cohort), reverse=True)


def cohort_of(seed: int | None) -> np.ndarray | None:
    return None if seed is None else clusters(np.random.default_rng(seed), 1 + seed % 9, 4, spread=0.5)


seeds = st.one_of(st.none(), st.integers(0, 1000))


@settings(max_examples=40, deadline=None)
@given(cases, seeds)
def test_znorm(case: Case, seed: int | None) -> None:
    cohort = cohort_of(seed)
    gallery = Indexed.of(case.gallery, case.g)
    lists = gallery.searcher.nearest(case.queries, case.q, 9)
    strangers = None if cohort is None else Indexed.of_strangers(cohort)
    scores = ZNormScorer(ZNorm(), gallery, strangers).score(case.queries, case.q, lists)
    for i in range(len(case.q)):
        for rank, j in enumerate(lists.index[i]):
            if j >= 0:
                mean, deviation = naive_moments(cohort_scores(case.gallery[j], case.g, j, case, cohort))
                expected = (cosine(case.queries[i], case.gallery[j]) - mean) / deviation
                assert scores[i, rank] == pytest.approx(expected, rel=1e-3, abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(cases, seeds, st.integers(2, 6))
def test_snorm(case: Case, seed: int | None, count: int) -> None:
    cohort = cohort_of(seed)
    gallery = Indexed.of(case.gallery, case.g)
    lists = gallery.searcher.nearest(case.queries, case.q, 9)
    strangers = None if cohort is None else Indexed.of_strangers(cohort)
    scores = SNormScorer(SNorm(cohort=count), gallery, strangers).score(case.queries, case.q, lists)
    for i in range(len(case.q)):
        own = naive_moments(cohort_scores(case.queries[i], case.q, i, case, cohort)[:count])
        for rank, j in enumerate(lists.index[i]):
            if j >= 0:
                theirs = naive_moments(cohort_scores(case.gallery[j], case.g, j, case, cohort)[:count])
                s = cosine(case.queries[i], case.gallery[j])
                expected = ((s - own[0]) / own[1] + (s - theirs[0]) / theirs[1]) / 2
                assert scores[i, rank] == pytest.approx(expected, rel=1e-5, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(cases, st.integers(1, 6))
def test_csls(case: Case, k: int) -> None:
    gallery = Indexed.of(case.gallery, case.g)
    lists = gallery.searcher.nearest(case.queries, case.q, 9)
    scores = CSLSScorer(CSLS(k=k), gallery).score(case.queries, case.q, lists)

    def scale(vector: np.ndarray, rows: Rows, i: int) -> float:
        near = [s for _, s in ranked(vector, rows, i, case.gallery, case.g)[:k]]
        return sum(near) / len(near) if near else 0.0

    for i in range(len(case.q)):
        for rank, j in enumerate(lists.index[i]):
            if j >= 0:
                s = cosine(case.queries[i], case.gallery[j])
                expected = 2 * s - scale(case.queries[i], case.q, i) - scale(case.gallery[j], case.g, j)
                assert scores[i, rank] == pytest.approx(expected, abs=1e-6)


def test_pieces_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    case = make_case(3, 30)
    gallery = Indexed.of(case.gallery, case.g)
    whole = normalisation.cohort_moments(gallery, gallery)
    monkeypatch.setattr(normalisation, "ROWS_AT_ONCE", 4)
    for one, other in zip(whole, normalisation.cohort_moments(gallery, gallery), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_a_collapsed_model_has_finite_scores() -> None:
    vectors = np.tile(np.array([0.6, 0.8], dtype=np.float32), (6, 1))
    rows = make_rows(6)
    gallery = Indexed.of(vectors, rows)
    lists = gallery.searcher.nearest(vectors, rows, 5)
    for scorer in (ZNormScorer(ZNorm(), gallery), SNormScorer(SNorm(), gallery), CSLSScorer(CSLS(), gallery)):
        scores = scorer.score(vectors, rows, lists)
        assert np.isfinite(scores).all()
        assert (scores == scores[0, 0]).all()


def test_a_hub_loses_its_rank() -> None:
    # A hub near everything, and a row near the query alone: the hub has the higher cosine, the other the higher score.
    degrees = np.deg2rad([0.0, 10.0, -20.0, 20.0, 25.0])
    vectors = np.stack([np.cos(degrees), np.sin(degrees)], axis=1).astype(np.float32)
    query, gallery = vectors[:1], vectors[1:]
    g = make_rows(4, ids=[1, 2, 3, 4], photos=[1, 2, 3, 4])
    index = Indexed.of(gallery, g)
    lists = index.searcher.nearest(query, make_rows(1), 4)
    assert lists.index[0, 0] == 0
    scores = CSLSScorer(CSLS(k=2), index).score(query, make_rows(1), lists)
    assert lists.index[0, scores[0].argmax()] == 1
