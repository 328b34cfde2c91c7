"""An honest report: how well embeddings retrieve, overall, by category, and query by query."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlcore.manifest import photo_groups
from mlcore.retrieval import Rows, nearest, query_metrics

KS = (1, 5, 10)


@dataclass(frozen=True)
class Neighbour:
    sample_id: int
    distance: float  # cosine distance, 0..2
    hit: bool


@dataclass(frozen=True)
class QueryReport:
    """One query. `average_precision` (mAP@R) is None when nothing in the gallery could match it."""

    sample_id: int
    average_precision: float | None
    first_hit_rank: int | None  # among all that was ranked; None: no hit
    neighbours: list[Neighbour]


@dataclass(frozen=True)
class CategoryReport:
    """Means over the queries of one category. `queries` counts those with a match."""

    name: str
    queries: int
    queries_without_match: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class Report:
    overall: dict[str, float]
    categories: list[CategoryReport]
    counts: dict[str, int]  # queries, gallery, queries_without_match
    queries: list[QueryReport]

    def to_json(self) -> dict[str, Any]:
        return {
            "overall": self.overall,
            "categories": {category.name: category.metrics for category in self.categories},
            "counts": self.counts,
        }


def codes(values: pd.Series) -> NDArray[np.int64]:
    """`(N,)` int64: equal values share a number; missing ones are -1."""
    return pd.factorize(values)[0].astype(np.int64)


def means(figures: dict[str, NDArray[np.float64]], chosen: NDArray[np.bool_]) -> dict[str, float]:
    """Mean of each figure over the chosen queries that have one; no entry where none has."""
    return {name: float(values[chosen].mean()) for name, values in figures.items() if chosen.any()}


def evaluate(
    embeddings: NDArray[np.floating], manifest: pd.DataFrame, *, ks: Sequence[int] = KS, neighbours_kept: int = 10
) -> Report:
    """Evaluates `(N, D)` embeddings of unit length, row for row those of `manifest`.

    Queries and gallery are the rows so flagged. Definitions: `mlcore.retrieval.metrics`. An empty gallery, or one
    without a single match, gives no figures and counts every query as left out.
    """
    rows = Rows(
        ids=manifest["sample_id"].to_numpy(np.int64),
        labels=codes(manifest["label"]),
        photos=photo_groups(manifest).to_numpy(np.int64),
        sequences=codes(manifest["sequence"].replace("", pd.NA)),
    )
    is_query = manifest["is_query"].to_numpy(bool)
    is_gallery = manifest["is_gallery"].to_numpy(bool)
    q, g = rows.take(is_query), rows.take(is_gallery)
    largest = int(pd.Series(g.labels).value_counts().max()) if len(g.labels) else 0
    depth = max(*ks, neighbours_kept, largest, 100)
    ranked = nearest(embeddings[is_query], embeddings[is_gallery], q, g, depth)
    valid = ranked.index >= 0
    found = g.labels[ranked.index] if len(g.labels) else np.zeros_like(ranked.index)
    hits = valid & (found == q.labels[:, None])
    figures = query_metrics(hits, valid, ranked.relevant, ks)
    with_match = ranked.relevant > 0

    category = manifest["category"].to_numpy(object)[is_query]
    names = sorted({name for name in category if isinstance(name, str) and name})
    categories = [
        CategoryReport(
            name=name,
            queries=int((chosen & with_match).sum()),
            queries_without_match=int((chosen & ~with_match).sum()),
            metrics=means(figures, chosen & with_match),
        )
        for name in names
        for chosen in [category == name]
    ]
    queries = [
        QueryReport(
            sample_id=int(q.ids[row]),
            average_precision=float(figures["map@r"][row]) if with_match[row] else None,
            first_hit_rank=int(hits[row].argmax()) + 1 if hits[row].any() else None,
            neighbours=[
                Neighbour(int(g.ids[position]), float(1 - similarity), bool(hit))
                for position, similarity, hit in zip(
                    ranked.index[row, :neighbours_kept],
                    ranked.similarity[row, :neighbours_kept],
                    hits[row, :neighbours_kept],
                    strict=True,
                )
                if position >= 0
            ],
        )
        for row in range(len(q.ids))
    ]
    counts = {
        "queries": len(q.ids),
        "gallery": len(g.ids),
        "queries_without_match": int((~with_match).sum()),
    }
    return Report(means(figures, with_match), categories, counts, queries)
