"""The figures against naive float64 loops over their definitions (TRAPS.md)."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.retrieval import nearest
from mlcore.retrieval.metrics import figure_names, means, query_metrics
from tests.mlcore.retrieval.conftest import make_rows, unit


def naive(hits: list[bool], r: int, k: int) -> dict[str, float]:
    n = len(hits)

    def gain(depth: int) -> float:
        total = 0.0
        for rank in range(1, min(depth, n) + 1):
            if hits[rank - 1]:
                total += sum(hits[:rank]) / rank
        return total

    found = sum(hits[:k])
    first = next((rank for rank in range(1, n + 1) if hits[rank - 1]), None)
    return {
        f"cmc@{k}": float(any(hits[:k])),
        f"recall@{k}": found / r,
        f"precision@{k}": found / max(1, min(k, r, n)),
        f"map@{k}": gain(k) / min(k, r),
        f"map_hits@{k}": gain(k) / found if found else 0.0,
        "map@r": gain(r) / r,
        "r_precision": sum(hits[:r]) / r,
        "mrr": 1 / first if first else 0.0,
    }


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.lists(st.booleans(), max_size=12), st.integers(0, 4)), min_size=1, max_size=6),
    st.integers(1, 14),
)
def test_equals_the_definitions(queries: list[tuple[list[bool], int]], k: int) -> None:
    depth = max(len(hits) for hits, _ in queries)
    hits = np.zeros((len(queries), depth), dtype=bool)
    valid = np.zeros_like(hits)
    relevant = np.zeros(len(queries), dtype=np.int64)
    for row, (ranked, missed) in enumerate(queries):
        hits[row, : len(ranked)] = ranked
        valid[row, : len(ranked)] = True
        relevant[row] = sum(ranked) + missed
    figures = query_metrics(hits, valid, relevant, (k,))
    for row, (ranked, _) in enumerate(queries):
        if relevant[row] == 0:
            assert all(np.isnan(values[row]) for values in figures.values())
            continue
        for name, expected in naive(ranked, int(relevant[row]), k).items():
            assert figures[name][row] == pytest.approx(expected, abs=1e-12), name


def test_one_of_five_at_rank_one() -> None:
    hits = np.array([[True, False, False, False, False]])
    figures = query_metrics(hits, np.ones_like(hits), np.array([5]), (5,))
    assert figures["map@5"][0] == pytest.approx(0.2)
    assert figures["map_hits@5"][0] == 1.0  # the variant that flatters
    assert figures["precision@5"][0] == pytest.approx(0.2)


def test_precision_is_not_punished_for_few_relevant() -> None:
    hits = np.array([[True, False, False, False, False]])
    assert query_metrics(hits, np.ones_like(hits), np.array([1]), (5,))["precision@5"][0] == 1.0


def test_means_leave_out_queries_without_a_match() -> None:
    figures = {"cmc@1": np.array([1.0, np.nan, 0.0])}
    assert means(figures, np.array([True, False, True])) == {"cmc@1": 0.5}
    assert means(figures, np.array([0])) == {"cmc@1": 1.0}  # by place as well
    assert means(figures, np.array([False, False, False])) == {}


def test_no_lists_at_all() -> None:
    hits = np.zeros((2, 0), dtype=bool)
    figures = query_metrics(hits, hits, np.array([0, 0]), (1,))
    assert np.isnan(figures["cmc@1"]).all()
    assert np.isnan(figures["mrr"]).all()


def test_names_are_those_of_the_figures() -> None:
    hits = np.zeros((1, 3), dtype=bool)
    assert list(query_metrics(hits, hits, np.array([1]), (1, 7))) == figure_names((1, 7))


def test_against_pytorch_metric_learning() -> None:
    """Where definitions meet: P@1, R-precision and mAP@R; over whole lists mAP, and MRR, which leaves out no query."""
    library = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator")
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(40), 6)
    centres = unit(rng.standard_normal((40, 24)))
    vectors = unit(centres[labels] + 0.25 * rng.standard_normal((240, 24)))
    rows = make_rows(240, labels=labels.tolist())
    found = nearest(vectors, vectors, rows, rows, 239)
    hits = labels[found.index] == labels[:, None]
    ours = means(query_metrics(hits, found.index >= 0, found.relevant, (1, 239)), np.ones(240, dtype=bool))
    names = {
        "precision_at_1": "cmc@1",
        "r_precision": "r_precision",
        "mean_average_precision_at_r": "map@r",
        "mean_average_precision": "map@239",
        "mean_reciprocal_rank": "mrr",
    }
    calculator = library.AccuracyCalculator(include=tuple(names), k=239, device=torch.device("cpu"))
    theirs = calculator.get_accuracy(torch.from_numpy(vectors), torch.from_numpy(labels))
    assert 0.2 < ours["map@r"] < 0.9
    for their_name, our_name in names.items():
        assert ours[our_name] == pytest.approx(theirs[their_name], abs=1e-6), our_name
