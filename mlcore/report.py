"""What an evaluation found: figures overall and by category, and each query with its neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from mlcore.matches import Ints
from mlcore.retrieval.bootstrap import Interval
from mlcore.retrieval.metrics import Floats
from mlcore.retrieval.verification import Verification


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


@dataclass(frozen=True, eq=False)
class Queries(Sequence[QueryReport]):
    """All queries of a report, as arrays; a `QueryReport` is made when it is asked for.

    `sample_ids`, `relevant` (R of the definitions), `first_hit_ranks` (0: no hit): `(Q,)`. `figures`: name -> `(Q,)`,
    NaN where R = 0. `neighbours`: `(Q, top_k)` sample ids, -1 past a list's end; `distances`, `hits`: beside them.
    """

    sample_ids: Ints
    relevant: Ints
    first_hit_ranks: Ints
    figures: dict[str, Floats]
    neighbours: Ints
    distances: Floats
    hits: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.sample_ids)

    @overload
    def __getitem__(self, index: int) -> QueryReport: ...

    @overload
    def __getitem__(self, index: slice) -> list[QueryReport]: ...

    def __getitem__(self, index: int | slice) -> QueryReport | list[QueryReport]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        lists = zip(self.neighbours[index], self.distances[index], self.hits[index], strict=True)
        return QueryReport(
            sample_id=int(self.sample_ids[index]),
            average_precision=float(self.figures["map@r"][index]) if self.relevant[index] else None,
            first_hit_rank=int(self.first_hit_ranks[index]) or None,
            neighbours=[
                Neighbour(int(sample_id), max(0.0, float(distance)), bool(hit))
                for sample_id, distance, hit in lists
                if sample_id >= 0
            ],
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Queries) and all(
            np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f")
            for mine, theirs in zip(self.arrays(), other.arrays(), strict=True)
        )

    def arrays(self) -> list[NDArray[Any]]:
        lists = [self.sample_ids, self.relevant, self.first_hit_ranks, self.neighbours, self.distances, self.hits]
        return [*lists, *(self.figures[name] for name in sorted(self.figures))]


@dataclass(frozen=True)
class CategoryReport:
    """Means over the queries of one category, searching the whole gallery. `queries` counts those with a match.

    With verification `metrics` holds `fnmr@f` too: of the genuine pairs of these queries, at the threshold that was
    found overall. (The category's own false match rate there may be another than f.)
    """

    name: str
    queries: int
    queries_without_match: int
    metrics: dict[str, float]
    intervals: dict[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """Figures as `mlcore.retrieval.metrics` defines them; their means leave out queries without a match.

    `counts`: queries (all), gallery, queries_without_match. `queries`: all, in the manifest's order. `categories`: by
    name, beside `overall` and never mixed with it, whatever a category is called. What was asked for beyond that:
    `intervals`: name -> confidence interval, of the figures overall and of `fnmr@f`; `pcf`: share of the variance ->
    fraction of the dimensions (`mlcore.retrieval.components`); `verification`: see there.
    """

    overall: dict[str, float]
    categories: list[CategoryReport]
    counts: dict[str, int]
    queries: Sequence[QueryReport]
    intervals: dict[str, Interval] = field(default_factory=dict)
    pcf: dict[str, float] = field(default_factory=dict)
    verification: Verification | None = None

    def worst(self, count: int = 10) -> list[QueryReport]:
        """The queries with the lowest average precision; of equals, those whose first hit comes last, then by id."""
        judged = [query for query in self.queries if query.average_precision is not None]
        judged.sort(key=lambda query: (query.average_precision, -(query.first_hit_rank or 2**62), query.sample_id))
        return judged[:count]

    def to_json(self) -> dict[str, Any]:
        """What `report.json` holds: overall, categories by name, counts; and what else was asked for."""
        report: dict[str, Any] = {
            "overall": self.overall,
            "categories": {category.name: category.metrics for category in self.categories},
            "counts": self.counts,
        }
        if self.intervals:
            report["intervals"] = {
                "overall": self.intervals,
                "categories": {category.name: category.intervals for category in self.categories},
            }
        if self.pcf:
            report["pcf"] = self.pcf
        if self.verification:
            report["verification"] = self.verification.to_json()
        return report
