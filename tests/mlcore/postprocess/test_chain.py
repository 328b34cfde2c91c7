"""Chains: each query alone, any depth, ties, and the smallest cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.config.postprocess import parse
from mlcore.errors import InputError
from mlcore.postprocess import Chain, Ranked
from mlcore.retrieval import Rows
from tests.mlcore.postprocess.cases import Case, cases, make_case, ranked
from tests.mlcore.retrieval.conftest import make_rows

CHAINS = [
    "",
    "qe:k=3",
    "dba:k=2+qe:k=2",
    "rerank:k1=4,k2=2,candidates=6",
    "znorm:candidates=4",
    "snorm:cohort=3",
    "csls:k=2,candidates=5",
    "threshold:least=0.5",
    "adaptive:deviations=1,top=6",
    "dba:k=2+qe:k=2+rerank:k1=3,k2=2+adaptive:deviations=1",
    "qe+snorm:cohort=4+threshold:least=-1",
]


def run(chain: Chain, queries: np.ndarray, q: Rows, k: int) -> list[tuple[list[int], list[float], list[float]]]:
    """Index, cosines and scores of each query."""
    found: dict[int, Ranked] = {}
    for places, part in chain.lists(queries, q, k):
        found |= {int(place): (part, row) for row, place in enumerate(places)}
    return [
        tuple(table[row].tolist() for table in (part.lists.index, part.lists.similarity, part.scores))
        for part, row in (found[place] for place in range(len(q)))
    ]


@pytest.mark.parametrize("text", CHAINS)
@settings(max_examples=8, deadline=None)
@given(case=cases)
def test_one_query_alone_gets_what_it_gets_beside_others(text: str, case: Case) -> None:
    chain = Chain(parse(text), case.gallery, case.g)
    together = run(chain, case.queries, case.q, 8)
    for place in range(len(case.q)):
        alone = case.alone(place)
        assert run(chain, alone.queries, alone.q, 8) == [together[place]]


@pytest.mark.parametrize("text", CHAINS)
def test_a_shorter_list_is_the_beginning_of_a_longer_one(text: str) -> None:
    case = make_case(5, 40)
    chain = Chain(parse(text), case.gallery, case.g)
    short, long = run(chain, case.queries, case.q, 3), run(chain, case.queries, case.q, 30)
    assert [[part[:3] for part in query] for query in long] == [list(query) for query in short]


@pytest.mark.parametrize("text", CHAINS)
@settings(max_examples=8, deadline=None)
@given(case=cases)
def test_lists_hold_neighbours_that_may_be_found_each_once(text: str, case: Case) -> None:
    chain = Chain(parse(text), case.gallery, case.g)
    cuts = "threshold" in text or "adaptive" in text
    for i, (index, _, scores) in enumerate(run(chain, case.queries, case.q, 40)):
        may = {j for j, _ in ranked(case.queries[i], case.q, i, case.gallery, case.g)}
        found = [j for j in index if j >= 0]
        assert len(found) == len(set(found))
        assert set(found) <= may if cuts else set(found) == may
        assert index[: len(found)] == found
        assert scores == sorted(scores, reverse=True)


@settings(max_examples=20, deadline=None)
@given(cases, st.integers(1, 8))
def test_what_is_not_scored_follows_in_its_order(case: Case, candidates: int) -> None:
    chain = Chain(parse(f"csls:candidates={candidates}"), case.gallery, case.g)
    for i, (index, similarity, scores) in enumerate(run(chain, case.queries, case.q, 40)):
        expected = ranked(case.queries[i], case.q, i, case.gallery, case.g)
        count = len(expected)
        assert set(index[:candidates]) >= {j for j, _ in expected[:candidates]}
        assert index[candidates:count] == [j for j, _ in expected[candidates:]]
        assert np.isneginf(scores[candidates:]).all()
        cosines = dict(expected)
        assert similarity[:count] == [cosines[j] for j in index[:count]]


@pytest.mark.parametrize("text", ["rerank:k1=3", "znorm", "snorm", "csls"])
def test_equal_scores_go_to_the_smaller_id(text: str) -> None:
    gallery = np.tile(np.array([1, 0], dtype=np.float32), (5, 1))
    g = make_rows(5, ids=[9, 4, 7, 2, 8])
    chain = Chain(parse(text), gallery, g)
    queries = np.array([[1, 0]], dtype=np.float32)
    index, _, scores = run(chain, queries, make_rows(1, ids=[50], photos=[50]), 5)[0]
    scored = sorted(range(5), key=lambda rank: (-scores[rank], g.ids[index[rank]]))
    assert scored == list(range(5))
    if text != "rerank:k1=3":  # there equal vectors differ by whose neighbours they are
        assert g.ids[index].tolist() == [2, 4, 7, 8, 9]


@pytest.mark.parametrize("text", CHAINS)
@pytest.mark.parametrize(("queries", "gallery"), [(0, 0), (1, 0), (0, 3), (1, 1), (2, 1)])
def test_smallest_cases(text: str, queries: int, gallery: int) -> None:
    vectors = np.ones((queries + gallery, 1), dtype=np.float32)
    rows = make_rows(queries + gallery)
    chain = Chain(parse(text), vectors[queries:], rows.take(slice(queries, None)))
    pieces = list(chain.lists(vectors[:queries], rows.take(slice(0, queries)), 4))
    assert sum(len(places) for places, _ in pieces) == (queries if gallery else 0)
    for _, part in pieces:
        assert part.lists.index.shape == part.scores.shape == (queries, 1)
        assert not np.isnan(part.scores).any()


def test_a_cohort_moves_scores_but_not_vectors() -> None:
    case = make_case(8, 20)
    cohort = make_case(9, 20).gallery
    own = Chain(parse("snorm"), case.gallery, case.g)
    given_one = Chain(parse("snorm"), case.gallery, case.g, cohort=cohort)
    one, other = (run(chain, case.queries, case.q, 5) for chain in (own, given_one))
    assert [query[2] for query in one] != [query[2] for query in other]


def test_half_precision_is_computed_in_float32() -> None:
    case = make_case(6, 20)
    half = case.queries.astype(np.float16)
    chain = Chain(parse("qe+rerank:k1=3"), case.gallery.astype(np.float16), case.g)
    again = Chain(parse("qe+rerank:k1=3"), case.gallery.astype(np.float16).astype(np.float32), case.g)
    assert run(chain, half, case.q, 5) == run(again, half.astype(np.float32), case.q, 5)


def test_steps_out_of_order_are_refused() -> None:
    case = make_case(1, 5)
    with pytest.raises(InputError, match="csls \\+ qe"):
        Chain([*parse("csls"), *parse("qe")], case.gallery, case.g)
