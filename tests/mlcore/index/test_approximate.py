"""The approximate kinds against the exact one: how much they find, and that their settings matter."""

from functools import cache

import numpy as np
import pytest

from mlcore.index import Index, base, build_index
from tests.mlcore.index.conftest import clustered

VECTORS, QUERIES = clustered(2000), clustered(100, seed=9)


@cache
def made(kind: str, **settings: int) -> Index:
    return build_index(kind, VECTORS, np.arange(len(VECTORS)), "s", **settings)


def recall(kind: str, allowed: np.ndarray | None = None, **settings: int) -> float:
    """The share of the exact ten nearest that the kind finds."""
    exact, found = (index.search(QUERIES, 10, allowed).ids for index in (made("flat"), made(kind, **settings)))
    return sum(len(set(a) & set(b)) for a, b in zip(exact.tolist(), found.tolist(), strict=True)) / exact.size


@pytest.mark.parametrize(("kind", "least"), [("ivf", 0.85), ("hnsw", 0.98)])
def test_recall_is_high_as_they_come(kind: str, least: float) -> None:
    assert recall(kind) >= least


def test_all_lists_find_all() -> None:
    assert recall("ivf", lists=20, probes=20) == 1.0
    assert recall("ivf", lists=20, probes=1) < 0.9


def test_less_effort_finds_less() -> None:
    assert recall("hnsw", neighbours=4, build_effort=4, search_effort=1) < recall("hnsw")


@pytest.mark.parametrize(("kind", "least"), [("ivf", 0.6), ("hnsw", 0.9)])
def test_a_narrow_filter_still_fills_the_list(kind: str, least: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "FEW_ALLOWED", 0)
    allowed = np.arange(0, len(VECTORS), 47)
    assert np.isin(made(kind).search(QUERIES, 20, allowed).ids, allowed).all()
    assert recall(kind, allowed) >= least


def test_a_graph_that_reaches_too_few_falls_back_to_all() -> None:
    everything = base.Allowed(np.arange(5), None)
    asked = []

    def search(waiting: np.ndarray, effort: int) -> np.ndarray:
        asked.append((waiting.tolist(), effort))
        return np.array([[3, -1], [3, 4]])[waiting]

    rows, columns = base.widened(search, 2, 2, 2, 5, everything)
    assert asked == [([0, 1], 2), ([0], 5)]
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, place) for place in range(5)] + [
        (1, 3),
        (1, 4),
    ]
