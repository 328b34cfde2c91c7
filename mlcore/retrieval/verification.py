"""Verification: telling from one distance whether two photos bear the same label, and what each threshold costs.

Over **all** pairs of a query and a gallery row that may be neighbours, not only the retrieved; each with a label. A
*genuine* pair bears one label, an *impostor* pair two. A pair is taken for the same label if its cosine distance is
**below** the threshold.

    FMR(t)     false match rate: impostor pairs below t / impostor pairs
    FNMR(t)    false non-match rate: genuine pairs at t or above / genuine pairs
    FNMR@FMR=f FNMR(t) at the largest t with FMR(t) <= f: the distance of impostor pair number floor(f n) + 1, of n in
               order of their distance (infinite where there is none: f = 1)

A sample that is both query and gallery makes two pairs with each other such sample. Distances are 1 - s, of the
similarity s rounded to float32. No tolerance and no sample: the threshold is that very pair's distance.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mlcore.matches import Gallery, Ints, Rows
from mlcore.retrieval.exact import Floats32, as_float32
from mlcore.retrieval.metrics import Floats

TILE = 1024  # queries and gallery rows at once: 8 MB of float64
BINS = 2**16  # of the upper half of the bits of float32, or of the lower
POINTS = 200  # of the ROC curve, at most


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold for a wanted false match rate. `threshold`: cosine distance, `false_match_rate`: what it gives."""

    wanted_fmr: float
    threshold: float
    false_match_rate: float
    fnmr: float

    @property
    def name(self) -> str:
        return f"fnmr@{self.wanted_fmr}"


@dataclass(frozen=True, eq=False)
class Verification:
    """`genuine`, `impostor`: how many pairs. `points`: by wanted FMR; none where either kind of pair is missing.

    `roc`: `(P, 3)` threshold, FMR, FNMR, thresholds rising. Per query: `query_genuine` `(Q,)` pairs, and
    `query_misses` `(Q, len(points))`, those of them that the point's threshold misses.
    """

    genuine: int
    impostor: int
    points: list[OperatingPoint]
    roc: Floats
    query_genuine: Ints
    query_misses: Ints

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Verification) and all(
            np.array_equal(mine, theirs) for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)
        )

    def to_json(self) -> dict[str, Any]:
        """A threshold of None lets every pair pass."""
        return {
            "unit": "cosine distance",
            "genuine": self.genuine,
            "impostor": self.impostor,
            "points": [
                {**asdict(point), "threshold": point.threshold if np.isfinite(point.threshold) else None}
                for point in self.points
            ],
            "roc": self.roc.tolist(),
        }


class Tile(NamedTuple):
    """Pairs of some queries and gallery rows.

    `values`: `(C * C',)` float32 similarities of all; `halves`: the upper halves of their bits; `left_out`: `(L,)`, the
    values that are of no impostor pair; `genuine`: `(P,)`; `query`, `other`: `(P,)` the places of their queries and
    gallery rows. `mirrored`: each stands for two pairs, the other one with its sides exchanged.
    """

    values: Floats32
    halves: NDArray[np.uint16]
    left_out: Floats32
    genuine: Floats32
    query: Ints
    other: Ints
    mirrored: bool


def verify(
    queries: NDArray[np.floating], gallery: NDArray[np.floating], q: Rows, g: Rows, fmrs: Sequence[float]
) -> Verification:
    """All pairs of `(Q, D)` queries and `(G, D)` gallery rows of unit length, which `q` and `g` identify.

    fmrs: the wanted false match rates, 0..1. Exact, in two passes over the pairs: the first counts them by the upper
    half of the bits of their similarity, which tells in which of those bins each threshold lies; the second, within
    these bins, by the lower half. Memory is bounded but for 12 bytes for a genuine pair in a threshold's bin.
    """
    if not all(0 <= fmr <= 1 for fmr in fmrs):
        raise ValueError(f"False match rates lie between 0 and 1: {', '.join(map(str, fmrs))}.")
    pairs = Pairs(queries, gallery, q, g)
    genuine, impostor = np.zeros(BINS, dtype=np.int64), np.zeros(BINS, dtype=np.int64)
    query_genuine = np.zeros(len(q), dtype=np.int64)
    for tile in pairs.tiles():
        genuine += upper_counts(tile.genuine) * (1 + tile.mirrored)
        counts = np.bincount(tile.halves, minlength=BINS) - upper_counts(tile.left_out)
        impostor += counts * (1 + tile.mirrored)
        query_genuine += pairs.by_query(tile, np.ones(len(tile.genuine), dtype=bool))
    totals = int(genuine.sum()), int(impostor.sum())
    if not all(totals):
        nothing = np.zeros((len(q), 0), dtype=np.int64)
        return Verification(*totals, [], np.zeros((0, 3)), query_genuine, nothing)
    points, misses = operating_points(pairs, fmrs, impostor, totals)
    return Verification(*totals, points, roc(genuine, impostor), query_genuine, misses)


class Pairs:
    """The pairs of labelled samples, and their similarities, tile by tile."""

    def __init__(self, queries: NDArray[np.floating], gallery: NDArray[np.floating], q: Rows, g: Rows) -> None:
        self.count = len(q)
        self.q, self.g = np.flatnonzero(q.labels >= 0), np.flatnonzero(g.labels >= 0)
        self.q_rows, self.g_rows = q.take(self.q), g.take(self.g)
        left, right = (as_float32(vectors) for vectors in (queries, gallery))
        self.queries = torch.from_numpy(left if len(self.q) == len(q) else left[self.q])
        self.gallery = torch.from_numpy(right if len(self.g) == len(g) else right[self.g])
        # Both halves of the pairs of a sample with itself and with others are alike: one will do.
        same = len(q) == len(g) and all(np.array_equal(getattr(q, name), getattr(g, name)) for name in vars(q))
        self.mirrored = same and torch.equal(self.queries, self.gallery)

    def tiles(self) -> Iterator[Tile]:
        gallery = Gallery(self.g_rows)
        for start in range(0, len(self.q), TILE):
            own = slice(start, start + TILE)
            left = self.queries[own].double()
            excluded = gallery.excluded(self.q_rows.take(own))
            for first in range(start if self.mirrored else 0, len(self.g), TILE):
                theirs = slice(first, first + TILE)
                products = left @ self.gallery[theirs].double().T  # (C, D) @ (D, C') -> (C, C')
                values = products.float().add_(0.0).numpy()  # adding 0 makes one zero of -0 and 0
                here = (excluded[1] >= first) & (excluded[1] < first + TILE)
                no_pair = excluded[0][here], excluded[1][here] - first
                same = self.q_rows.labels[own, None] == self.g_rows.labels[None, theirs]
                same[no_pair] = False
                row, column = np.nonzero(same)
                genuine = values[row, column]
                yield Tile(
                    values=values.ravel(),
                    halves=upper(values.ravel()),
                    left_out=np.concatenate([genuine, values[no_pair]]),
                    genuine=genuine,
                    query=self.q[own][row],
                    other=self.g[theirs][column],
                    mirrored=self.mirrored and first > start,
                )

    def by_query(self, tile: Tile, chosen: NDArray[np.bool_]) -> Ints:
        """`(Q,)`: how many of the chosen genuine pairs, `(P,)`, each query has."""
        counts = np.bincount(tile.query[chosen], minlength=self.count)
        return counts + np.bincount(tile.other[chosen], minlength=self.count) if tile.mirrored else counts


def upper(values: Floats32) -> NDArray[np.uint16]:
    """The upper half of the bits: sign, exponent and 7 bits of the fraction."""
    return values.view(np.uint16)[1::2] if sys.byteorder == "little" else values.view(np.uint16)[::2]


def upper_counts(values: Floats32) -> Ints:
    """`(BINS,)`: how many similarities have each upper half."""
    return np.bincount(upper(values), minlength=BINS)


def lower_counts(values: Floats32, chosen: NDArray[np.bool_]) -> Ints:
    """`(BINS,)`: how many of the chosen similarities have each lower half."""
    return np.bincount((values[chosen].view(np.uint32) & np.uint32(0xFFFF)).astype(np.uint16), minlength=BINS)


# The upper halves in the order of their values, the largest first: positive ones, then negative ones.
FALLING = np.concatenate([np.arange(0x7F7F, -1, -1), np.arange(0x8000, 0xFF80)])


def similarity_of(half: int, low: int) -> float:
    """The value with these upper and lower halves of its bits."""
    return float(np.array([half << 16 | low], dtype=np.uint32).view(np.float32)[0])


def operating_points(
    pairs: Pairs, fmrs: Sequence[float], impostor: Ints, totals: tuple[int, int]
) -> tuple[list[OperatingPoint], Ints]:
    """The points, and `(Q, F)` missed genuine pairs. impostor: `(BINS,)` counts by upper half."""
    counts = np.cumsum(impostor[FALLING])
    allowed = [int(Decimal(str(fmr)) * totals[1]) for fmr in fmrs]  # 0.29 of 100 is 29; in floats 28.999...
    places = [int(np.searchsorted(counts, number, side="right")) for number in allowed]
    halves = [int(FALLING[place]) if place < len(FALLING) else None for place in places]
    bins = {half: Bin(half, pairs.count) for half in halves if half is not None}
    for tile in pairs.tiles() if bins else ():
        for found in bins.values():
            found.add(tile, pairs)
    points, misses = [], np.zeros((pairs.count, len(fmrs)), dtype=np.int64)
    for column, (fmr, number, place, half) in enumerate(zip(fmrs, allowed, places, halves, strict=True)):
        if half is None:
            points.append(OperatingPoint(fmr, np.inf, 1.0, 0.0))
            continue
        above = int(counts[place - 1]) if place else 0
        similarity, within = bins[half].nth(number - above)
        misses[:, column] = bins[half].misses(similarity)
        fnmr = float(misses[:, column].sum() / totals[0])
        points.append(OperatingPoint(fmr, 1.0 - similarity, (above + within) / totals[1], fnmr))
    return points, misses


class Bin:
    """What a threshold in one bin needs to know: the impostor pairs in it, and the genuine ones in and below it."""

    def __init__(self, half: int, queries: int) -> None:
        self.half = half
        self.lowest = similarity_of(half, 0xFFFF if half & 0x8000 else 0)
        self.impostor = np.zeros(BINS, dtype=np.int64)  # by lower half
        self.below = np.zeros(queries, dtype=np.int64)
        self.queries: list[Ints] = []  # of genuine pairs in the bin
        self.values: list[Floats32] = []

    def add(self, tile: Tile, pairs: Pairs) -> None:
        counts = lower_counts(tile.values, tile.halves == self.half)
        counts -= lower_counts(tile.left_out, upper(tile.left_out) == self.half)
        self.impostor += counts * (1 + tile.mirrored)
        self.below += pairs.by_query(tile, tile.genuine < self.lowest)
        inside = upper(tile.genuine) == self.half
        for side in (tile.query, tile.other) if tile.mirrored else (tile.query,):
            self.queries.append(side[inside])
            self.values.append(tile.genuine[inside])

    def nth(self, number: int) -> tuple[float, int]:
        """The similarity of the impostor pair that `number` others of the bin precede, and how many are greater."""
        order = np.arange(BINS) if self.half & 0x8000 else np.arange(BINS)[::-1]
        counts = np.cumsum(self.impostor[order])
        place = int(np.searchsorted(counts, number, side="right"))
        return similarity_of(self.half, int(order[place])), int(counts[place - 1]) if place else 0

    def misses(self, similarity: float) -> Ints:
        """`(Q,)`: genuine pairs of each query that are no more similar than this."""
        missed = np.concatenate(self.values) <= np.float32(similarity)
        return self.below + np.bincount(np.concatenate(self.queries)[missed], minlength=len(self.below))


def roc(genuine: Ints, impostor: Ints) -> Floats:
    """`(P, 3)`: threshold, FMR, FNMR, exact at the borders of the bins; from `(BINS,)` counts by upper half."""
    places = np.flatnonzero(genuine[FALLING] + impostor[FALLING])
    places = places[np.unique(np.linspace(0, len(places) - 1, POINTS).round().astype(int))]
    used = FALLING[places]
    lowest = (used << 16 | np.where(used & 0x8000, 0xFFFF, 0)).astype(np.uint32).view(np.float32)
    matched = np.cumsum(genuine[FALLING]), np.cumsum(impostor[FALLING])
    # A pair with the least similarity of the bin is still below the threshold.
    thresholds = 1.0 - np.nextafter(lowest, np.float32(-np.inf)).astype(np.float64)
    fmr, missed = matched[1][places] / impostor.sum(), 1 - matched[0][places] / genuine.sum()
    return np.stack([thresholds, fmr, missed], axis=1)
