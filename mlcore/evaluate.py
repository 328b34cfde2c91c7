"""An honest report: how well embeddings retrieve, overall, by category, and query by query."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlcore.errors import InputError
from mlcore.matches import Ints, Rows, manifest_rows
from mlcore.report import CategoryReport, Neighbour, Queries, QueryReport, Report
from mlcore.retrieval.bootstrap import Bootstrap, Interval, ratio_intervals
from mlcore.retrieval.components import pcf
from mlcore.retrieval.exact import as_float32
from mlcore.retrieval.knn import Neighbours, Searcher
from mlcore.retrieval.metrics import figure_names, first_hit_ranks, means, query_metrics
from mlcore.retrieval.verification import Verification, verify

__all__ = ["FULL", "CategoryReport", "Extras", "Neighbour", "Queries", "QueryReport", "Report", "evaluate"]

KS = (1, 5, 10)
LIST_LENGTH = 100  # neighbours ranked per query, unless a query has more matches or a k is larger
LENGTH_TOLERANCE = 0.01  # bfloat16 rounds a length by at most 0.004
RANKS_AT_ONCE = 1_000_000  # entries of ranked lists in memory


@dataclass(frozen=True)
class Extras:
    """What a report holds beyond the figures of ranked lists; nothing by default, for a validation wants to be quick.

    shares: of the variance, for PCF. fmrs: false match rates at which FNMR is told, which takes two passes over all
    pairs. bootstrap: how confidence intervals are made.
    """

    shares: tuple[float, ...] = ()
    fmrs: tuple[float, ...] = ()
    bootstrap: Bootstrap | None = None


FULL = Extras(shares=(0.5, 0.9, 0.99), fmrs=(0.1, 0.01, 0.001), bootstrap=Bootstrap())


def evaluate(
    embeddings: NDArray[np.floating],
    manifest: pd.DataFrame,
    *,
    top_k: int = 10,
    ks: Sequence[int] = KS,
    extras: Extras = Extras(),
    device: str = "cpu",
) -> Report:
    """Evaluates `(N, D)` embeddings of unit length, row for row those of `manifest` (see `mlcore.manifest`).

    Queries and gallery are the rows so flagged. A query never finds itself, another sample of the same bytes and box,
    or one of its own sequence. `top_k` neighbours are kept with each query. An empty gallery, or one without a single
    match, gives no figures and counts every query as left out. Memory beside the embeddings is bounded. Raises
    InputError where embeddings and rows do not go together, a value is not finite, or a length is neither 1 nor 0: the
    definitions speak of cosine distance, and a longer vector would be nearer to all.
    """
    q, g, query_vectors, gallery_vectors = sides(embeddings, manifest, top_k, ks)
    queries = judged(query_vectors, gallery_vectors, q, g, top_k=top_k, ks=ks, device=device)
    verification = verify(query_vectors, gallery_vectors, q, g, extras.fmrs) if extras.fmrs else None
    used = (manifest["is_query"] | manifest["is_gallery"]).to_numpy(bool)
    pcf_by_share = pcf(as_float32(embeddings[used]), extras.shares) if extras.shares else {}
    categories = manifest["category"][manifest["is_query"]]
    report = summary(queries, q.labels, categories, len(g), extras.bootstrap, verification)
    return replace(report, pcf=pcf_by_share)


def sides(
    embeddings: NDArray[np.floating], manifest: pd.DataFrame, top_k: int, ks: Sequence[int]
) -> tuple[Rows, Rows, NDArray[np.floating], NDArray[np.floating]]:
    """Rows of the queries and of the gallery, and their vectors. Raises as `evaluate` does."""
    if len(embeddings) != len(manifest):
        raise InputError(f"There are {len(embeddings)} embeddings for {len(manifest)} rows of the manifest.")
    if min(top_k, *ks, 1) < 1:
        raise ValueError("top_k and every k count neighbours: 1 or more.")
    rows = manifest_rows(manifest)
    is_query, is_gallery = manifest["is_query"].to_numpy(bool), manifest["is_gallery"].to_numpy(bool)
    used = is_query | is_gallery
    check_lengths(as_float32(chosen(embeddings, used)), np.flatnonzero(used))
    return rows.take(is_query), rows.take(is_gallery), chosen(embeddings, is_query), chosen(embeddings, is_gallery)


def check_lengths(vectors: NDArray[np.float32], rows: Ints) -> None:
    """Raises InputError for a length other than 1, to `LENGTH_TOLERANCE`, or 0. rows: the manifest's rows of these."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    odd = np.flatnonzero((abs(lengths - 1) > LENGTH_TOLERANCE) & (lengths > 0))
    if len(odd):
        first = f"that of row {rows[odd[0]]} (from 0) is {lengths[odd[0]]:.4g}"
        text = f"{len(odd)} of {len(vectors)} embeddings are not of unit length; {first}. "
        raise InputError(text + "Divide each by its Euclidean norm.")


def chosen(embeddings: NDArray[np.floating], flags: NDArray[np.bool_]) -> NDArray[np.floating]:
    """The flagged rows; no copy when that is all of them."""
    return embeddings if flags.all() else embeddings[flags]


def judged(
    queries: NDArray[np.floating],
    gallery: NDArray[np.floating],
    q: Rows,
    g: Rows,
    *,
    top_k: int,
    ks: Sequence[int],
    device: str,
) -> Queries:
    """The figures of each query, `(Q, D)`, searching in the gallery, `(G, D)`, and its first `top_k` neighbours."""
    searcher = Searcher(gallery, g, device=device)
    relevant = searcher.gallery.relevant(q)
    depth = depth_of(relevant, top_k, ks)
    searcher.chunk = min(searcher.chunk, max(1, RANKS_AT_ONCE // depth))
    return noted(searcher.lists(queries, q, depth), q, g, relevant, top_k=top_k, ks=ks)


def depth_of(relevant: Ints, top_k: int, ks: Sequence[int]) -> int:
    """How many neighbours of each query the figures need. relevant: `(Q,)`, R of the definitions."""
    return max(LIST_LENGTH, top_k, *ks, int(relevant.max(initial=0)))


def noted(
    pieces: Iterable[tuple[Ints, Neighbours]], q: Rows, g: Rows, relevant: Ints, *, top_k: int, ks: Sequence[int]
) -> Queries:
    """The figures of each query from ranked lists that come in pieces, each with the places of its queries."""
    result = Queries(
        sample_ids=q.ids,
        relevant=relevant,
        first_hit_ranks=np.zeros(len(q), dtype=np.int64),
        figures={name: np.full(len(q), np.nan) for name in figure_names(ks)},
        neighbours=np.full((len(q), top_k), -1, dtype=np.int64),
        distances=np.full((len(q), top_k), np.inf),
        hits=np.zeros((len(q), top_k), dtype=bool),
    )
    for places, lists in pieces:
        note(result, places, lists, q.labels[places], g, ks)
    return result


def note(result: Queries, places: Ints, lists: Neighbours, labels: Ints, gallery: Rows, ks: Sequence[int]) -> None:
    """Enters the ranked lists of some queries, `(C,)` places, into the result."""
    valid = lists.index >= 0  # (C, n)
    found = gallery.labels[lists.index]
    hits = valid & (found == labels[:, None]) & (found >= 0)
    for name, values in query_metrics(hits, valid, lists.relevant, ks).items():
        result.figures[name][places] = values
    result.first_hit_ranks[places] = first_hit_ranks(hits)
    kept = min(result.hits.shape[1], valid.shape[1])
    result.neighbours[places, :kept] = np.where(valid, gallery.ids[lists.index], -1)[:, :kept]
    result.distances[places, :kept] = 1.0 - lists.similarity[:, :kept].astype(np.float64)
    result.hits[places, :kept] = hits[:, :kept]


def summary(
    queries: Queries,
    labels: Ints,
    categories: pd.Series,
    gallery: int,
    bootstrap: Bootstrap | None,
    verification: Verification | None = None,
) -> Report:
    """Means and their intervals, overall and by the category of the query, each query searching the whole gallery."""
    has_match = queries.relevant > 0
    table = np.stack(list(queries.figures.values()), axis=1)  # (Q, M)

    def intervals(places: Ints) -> dict[str, Interval]:
        if bootstrap is None or not len(places):
            return {}
        bounds = ratio_intervals(table[places], np.ones(len(places)), labels[places], bootstrap)
        figures = dict(zip(queries.figures, bounds, strict=True))
        return figures | fnmr_intervals(verification, places, labels, bootstrap)

    reports = []
    for name, places in by_name(categories):
        judged = places[has_match[places]]
        figures = means(queries.figures, judged) | fnmrs(verification, judged)
        reports.append(CategoryReport(name, len(judged), len(places) - len(judged), figures, intervals(judged)))
    everyone = np.flatnonzero(has_match)
    return Report(
        overall=means(queries.figures, everyone),
        categories=reports,
        counts={"queries": len(labels), "gallery": gallery, "queries_without_match": int((~has_match).sum())},
        queries=queries,
        intervals=intervals(everyone),
        verification=verification,
    )


def by_name(categories: pd.Series) -> list[tuple[str, Ints]]:
    """Each category, by name, with the places of its rows, ascending. Rows without one are in none."""
    numbers, names = pd.factorize(categories.where(categories != ""), sort=True)
    order = np.argsort(numbers, kind="stable")
    bounds = np.searchsorted(numbers[order], np.arange(len(names) + 1))
    return [(str(name), order[bounds[place] : bounds[place + 1]]) for place, name in enumerate(names)]


def fnmrs(verification: Verification | None, places: Ints) -> dict[str, float]:
    """`fnmr@f` -> the share of the genuine pairs of some queries, each with a match, that the threshold misses."""
    if verification is None or not len(places):
        return {}
    shares = verification.query_misses[places].sum(axis=0) / verification.query_genuine[places].sum()
    return {point.name: value for point, value in zip(verification.points, shares.tolist(), strict=True)}


def fnmr_intervals(
    verification: Verification | None, places: Ints, labels: Ints, bootstrap: Bootstrap
) -> dict[str, Interval]:
    """`fnmr@f` -> its interval, with the threshold as it was found and other queries."""
    if verification is None or not verification.points:
        return {}
    misses, genuine = verification.query_misses[places], verification.query_genuine[places]
    bounds = ratio_intervals(misses.astype(np.float64), genuine.astype(np.float64), labels[places], bootstrap)
    return {point.name: value for point, value in zip(verification.points, bounds, strict=True)}
