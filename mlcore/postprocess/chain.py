"""A chain of steps, made ready for one gallery: search, with all that goes before and after it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mlcore.config.postprocess import (
    CSLS,
    AdaptiveThreshold,
    ConstantThreshold,
    GalleryAugmentation,
    PairRerank,
    Postprocess,
    QueryExpansion,
    Rerank,
    SNorm,
    ZNorm,
    check_order,
)
from mlcore.matches import Ints, Rows
from mlcore.postprocess.expansion import Expander
from mlcore.postprocess.indexed import Indexed
from mlcore.postprocess.normalisation import CSLSScorer, SNormScorer, ZNormScorer
from mlcore.postprocess.pairs import PairReranker
from mlcore.postprocess.rerank import Reranker
from mlcore.postprocess.threshold import AdaptiveCut, ConstantCut
from mlcore.retrieval.exact import Floats32, as_float32
from mlcore.retrieval.knn import Neighbours


class Scorer(Protocol):
    def score(self, queries: Floats32, q: Rows, lists: Neighbours) -> Floats32: ...


@dataclass(frozen=True)
class Ranked:
    """`lists`: neighbours by falling score, each still with its cosine. `scores`: `(Q, k)`, -inf where not scored."""

    lists: Neighbours
    scores: Floats32


class Chain:
    """Steps for one gallery, `(G, D)` of unit length. One query alone gets what it gets beside others.

    cohort: `(M, D)` of unit length, for score normalisation; None: the gallery. Raises InputError for steps that do not
    follow each other, and for values that are not finite.
    """

    def __init__(
        self,
        steps: Sequence[Postprocess],
        vectors: NDArray[np.floating],
        rows: Rows,
        *,
        cohort: NDArray[np.floating] | None = None,
        device: str = "cpu",
    ) -> None:
        check_order(steps)
        self.gallery = Indexed.of(vectors, rows, device=device)
        self.expander: Expander | None = None
        self.scorers: list[tuple[Scorer, int]] = []  # each with how many of the first neighbours it scores
        self.cut: ConstantCut | AdaptiveCut | None = None
        strangers = Indexed.of_strangers(cohort, device=device) if cohort is not None else None
        for step in steps:
            match step:
                case GalleryAugmentation():
                    moved = Expander(step, self.gallery).expand(self.gallery.vectors, rows)
                    self.gallery = Indexed.of(moved, rows, device=device)
                case QueryExpansion():
                    self.expander = Expander(step, self.gallery)
                case Rerank():
                    self.scorers.append((Reranker(step, self.gallery), max(step.candidates, step.k1, step.k2)))
                case ZNorm():
                    self.scorers.append((ZNormScorer(step, self.gallery, strangers), step.candidates))
                case SNorm():
                    self.scorers.append((SNormScorer(step, self.gallery, strangers), step.candidates))
                case CSLS():
                    self.scorers.append((CSLSScorer(step, self.gallery), step.candidates))
                case PairRerank():
                    self.scorers.append((PairReranker.of(step, self.gallery), step.candidates))
                case ConstantThreshold():
                    self.cut = ConstantCut(step)
                case AdaptiveThreshold():
                    self.cut = AdaptiveCut(step)
        looked_at = steps[-1].top if steps and isinstance(steps[-1], AdaptiveThreshold) else 1
        self.depth = max([looked_at, *(candidates for _, candidates in self.scorers)])

    def lists(self, queries: NDArray[np.floating], rows: Rows, k: int) -> Iterator[tuple[Ints, Ranked]]:
        """The `k` best gallery rows of each query, `(Q, D)` of unit length, in pieces, each with its queries' places.

        Only the step's `candidates` are scored anew, whatever `k` is; what is farther follows behind them.
        """
        values = self.expander.expand(queries, rows) if self.expander else as_float32(queries)
        for places, found in self.gallery.searcher.lists(values, rows, max(k, self.depth)):
            ranked = Ranked(found, found.similarity)
            for scorer, candidates in self.scorers:
                ranked = self.rescored(ranked, scorer, candidates, values[places], rows.take(places))
            ranked = self.cut_off(ranked)
            yield places, Ranked(first(ranked.lists, k), ranked.scores[:, :k])

    def rescored(self, ranked: Ranked, scorer: Scorer, candidates: int, queries: Floats32, q: Rows) -> Ranked:
        """The first `candidates` in the order of new scores; of equal ones the smaller gallery id first."""
        lists = ranked.lists
        count, depth = lists.index.shape
        scores = np.full((count, depth), -np.inf, dtype=np.float32)
        top = first(lists, candidates)
        scores[:, :candidates] = np.where(top.index >= 0, scorer.score(queries, q, top), -np.inf)
        # What was not scored keeps its order: its key is its rank, that of scored ones their id.
        ids = np.where(np.isfinite(scores), self.gallery.rows.ids[lists.index], np.arange(depth))
        order = np.lexsort((ids, -scores))
        row = np.arange(count)[:, None]
        ordered = replace(lists, index=lists.index[row, order], similarity=lists.similarity[row, order])
        return Ranked(ordered, scores[row, order])

    def cut_off(self, ranked: Ranked) -> Ranked:
        """The lists, ended where the threshold says."""
        if self.cut is None:
            return ranked
        stays = self.cut.keep(ranked.scores) & (ranked.lists.index >= 0)
        index = np.where(stays, ranked.lists.index, -1)
        similarity = np.where(stays, ranked.lists.similarity, np.float32(-np.inf))
        scores = np.where(stays, ranked.scores, np.float32(-np.inf))
        return Ranked(replace(ranked.lists, index=index, similarity=similarity), scores)


def first(lists: Neighbours, k: int) -> Neighbours:
    return replace(lists, index=lists.index[:, :k], similarity=lists.similarity[:, :k])
