"""An honest report: how well embeddings retrieve, overall, by category, and query by query."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlcore.errors import InputError
from mlcore.matches import Rows, manifest_rows
from mlcore.retrieval.knn import Searcher
from mlcore.retrieval.metrics import Floats, first_hit_ranks, means, query_metrics

KS = (1, 5, 10)
LIST_LENGTH = 100  # neighbours ranked per query, unless a query has more matches or a k is larger
RANKS_AT_ONCE = 1_000_000  # entries of ranked lists in memory


@dataclass(frozen=True, slots=True)
class Neighbour:
    sample_id: int
    distance: float  # cosine distance, 0..2
    hit: bool


@dataclass(frozen=True, slots=True)
class QueryReport:
    """One query. `average_precision` is its mAP@R, None when nothing in the gallery could match it.

    `first_hit_rank` is its rank (from 1) among the ranked, 100 or more; None: no hit among them.
    """

    sample_id: int
    average_precision: float | None
    first_hit_rank: int | None
    neighbours: list[Neighbour]


@dataclass(frozen=True)
class CategoryReport:
    """Means over the queries of one category, searching the whole gallery. `queries` counts those with a match."""

    name: str
    queries: int
    queries_without_match: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class Report:
    """Figures as `mlcore.retrieval.metrics` defines them; their means leave out queries without a match.

    `counts`: queries (all), gallery, queries_without_match. `queries`: all, in the manifest's order. `categories`: by
    name, beside `overall` and never mixed with it, whatever a category is called.
    """

    overall: dict[str, float]
    categories: list[CategoryReport]
    counts: dict[str, int]
    queries: list[QueryReport]

    def worst(self, count: int = 10) -> list[QueryReport]:
        """The queries with the lowest average precision; of equals, those whose first hit comes last, then by id."""
        judged = [query for query in self.queries if query.average_precision is not None]
        judged.sort(key=lambda query: (query.average_precision, -(query.first_hit_rank or 2**62), query.sample_id))
        return judged[:count]

    def to_json(self) -> dict[str, Any]:
        """What `report.json` holds: overall, categories by name, counts."""
        return {
            "overall": self.overall,
            "categories": {category.name: category.metrics for category in self.categories},
            "counts": self.counts,
        }


def evaluate(
    embeddings: NDArray[np.floating], manifest: pd.DataFrame, *, top_k: int = 10, ks: Sequence[int] = KS
) -> Report:
    """Evaluates `(N, D)` embeddings of unit length, row for row those of `manifest` (see `mlcore.manifest`).

    Queries and gallery are the rows so flagged. A query never finds itself, another sample of the same bytes and box,
    or one of its own sequence. `top_k` neighbours are kept with each query. An empty gallery, or one without a single
    match, gives no figures and counts every query as left out. Memory beside the embeddings is bounded. Raises
    InputError where embeddings and rows do not go together, or a value is not finite.
    """
    if len(embeddings) != len(manifest):
        raise InputError(f"There are {len(embeddings)} embeddings for {len(manifest)} rows of the manifest.")
    if min(top_k, *ks, 1) < 1:
        raise ValueError("top_k and every k count neighbours: 1 or more.")
    rows = manifest_rows(manifest)
    is_query, is_gallery = manifest["is_query"].to_numpy(bool), manifest["is_gallery"].to_numpy(bool)
    query_rows, gallery_rows = rows.take(is_query), rows.take(is_gallery)
    searcher = Searcher(chosen(embeddings, is_gallery), gallery_rows)
    relevant = searcher.gallery.relevant(query_rows)
    depth = max(LIST_LENGTH, top_k, *ks, int(relevant.max(initial=0)))
    step = max(1, RANKS_AT_ONCE // max(1, min(depth, len(gallery_rows))))

    vectors = chosen(embeddings, is_query)
    parts: list[dict[str, Floats]] = []
    reports: list[QueryReport] = []
    for start in range(0, len(query_rows), step):
        part = slice(start, start + step)
        figures, queries = judge(searcher, gallery_rows, vectors[part], query_rows.take(part), depth, top_k, ks)
        parts.append(figures)
        reports += queries
    figures = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
    return Report(
        overall=means(figures, relevant > 0),
        categories=by_category(figures, manifest["category"].to_numpy(object)[is_query], relevant > 0),
        counts={
            "queries": len(query_rows),
            "gallery": len(gallery_rows),
            "queries_without_match": int((relevant == 0).sum()),
        },
        queries=reports,
    )


def chosen(embeddings: NDArray[np.floating], flags: NDArray[np.bool_]) -> NDArray[np.floating]:
    """The flagged rows; no copy when that is all of them."""
    return embeddings if flags.all() else embeddings[flags]


def judge(
    searcher: Searcher,
    gallery: Rows,
    vectors: NDArray[np.floating],
    queries: Rows,
    depth: int,
    top_k: int,
    ks: Sequence[int],
) -> tuple[dict[str, Floats], list[QueryReport]]:
    """Figures `(C,)` and reports of one chunk of queries, `(C, D)`."""
    ranked = searcher.nearest(vectors, queries, depth)
    valid = ranked.index >= 0  # (C, n)
    if len(gallery):
        found = gallery.labels[ranked.index]
        hits = valid & (found == queries.labels[:, None]) & (found >= 0)
    else:
        hits = valid
    figures = query_metrics(hits, valid, ranked.relevant, ks)
    distances = 1.0 - ranked.similarity[:, :top_k].astype(np.float64)
    kept_ids = np.where(valid, gallery.ids[ranked.index], -1)[:, :top_k] if len(gallery) else ranked.index[:, :top_k]
    first = first_hit_ranks(hits)
    lists = zip(kept_ids.tolist(), distances.tolist(), hits[:, :top_k].tolist(), strict=True)
    reports = [
        QueryReport(
            sample_id=sample_id,
            average_precision=precision if has_match else None,
            first_hit_rank=rank or None,
            neighbours=[
                Neighbour(neighbour, max(0.0, distance), hit)
                for neighbour, distance, hit, real in zip(*row, real_row, strict=True)
                if real
            ],
        )
        for sample_id, precision, has_match, rank, row, real_row in zip(
            queries.ids.tolist(),
            figures["map@r"].tolist(),
            (ranked.relevant > 0).tolist(),
            first.tolist(),
            lists,
            valid[:, :top_k].tolist(),
            strict=True,
        )
    ]
    return figures, reports


def by_category(
    figures: dict[str, Floats], categories: NDArray[np.object_], has_match: NDArray[np.bool_]
) -> list[CategoryReport]:
    """One report per category of the queries, by name; queries without a category are in none."""
    names = sorted({name for name in categories if isinstance(name, str) and name})
    reports = []
    for name in names:
        mine = categories == name
        judged = mine & has_match
        left_out = int((mine & ~has_match).sum())
        reports.append(CategoryReport(name, int(judged.sum()), left_out, means(figures, judged)))
    return reports
