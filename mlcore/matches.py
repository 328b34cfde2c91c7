"""Which samples may be each other's neighbours, and which are each other's matches: one truth for all. No torch.

Never a neighbour of a query: the sample itself, another one of the same bytes and box, one of the same sequence. All
by identity, never by a distance of 0. A match is a neighbour with the query's label.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Ints = NDArray[np.int64]
QUERIES_AT_ONCE = 1024


@dataclass(frozen=True)
class Rows:
    """Identities of samples, each `(N,)` int64.

    `ids`: the sample; `labels`: its label; `photos`: its bytes and box; `sequences`: its burst. Negative: none.
    """

    ids: Ints
    labels: Ints
    photos: Ints
    sequences: Ints

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: "Ints | NDArray[np.bool_] | slice") -> "Rows":
        return Rows(self.ids[index], self.labels[index], self.photos[index], self.sequences[index])


def codes(values: pd.Series) -> Ints:
    """`(N,)` int64: equal values share a number; missing and empty ones are -1."""
    numbers = pd.factorize(values)[0].astype(np.int64)
    numbers[(values == "").fillna(False).to_numpy(bool)] = -1
    return numbers


def photo_groups(manifest: pd.DataFrame) -> Ints:
    """`(N,)` int64: rows of the same bytes and box share a number, so that a copy is never a match of its original."""
    columns = ["sha256", "x_1", "y_1", "x_2", "y_2"]
    table = manifest[columns].copy()
    table[columns[1:]] = table[columns[1:]].astype("Int64").fillna(-1)
    numbers: Ints = table.groupby(columns, sort=False, dropna=False).ngroup().to_numpy().astype(np.int64)
    unknown = codes(manifest["sha256"]) < 0  # bytes never seen are nobody's copy
    numbers[unknown] = len(numbers) + np.arange(int(unknown.sum()))
    return numbers


def manifest_rows(manifest: pd.DataFrame) -> Rows:
    """The identities of a manifest's rows. Numbers are comparable within this one result only."""
    return Rows(
        ids=manifest["sample_id"].to_numpy(np.int64),
        labels=codes(manifest["label"]),
        photos=photo_groups(manifest),
        sequences=codes(manifest["sequence"]),
    )


class Groups:
    """Positions of equal keys in `(G,)` keys, found by bisection."""

    def __init__(self, keys: Ints) -> None:
        self.order = np.argsort(keys, kind="stable")
        self.keys = keys[self.order]

    def count(self, keys: Ints) -> Ints:
        """`(Q,)` how many of the keys equal each of these."""
        counts: Ints = np.searchsorted(self.keys, keys, "right") - np.searchsorted(self.keys, keys, "left")
        return counts

    def pairs(self, keys: Ints) -> tuple[Ints, Ints]:
        """All (place in `keys`, position in the group's keys) that are equal, two `(P,)` arrays."""
        start = np.searchsorted(self.keys, keys, "left")
        counts = np.searchsorted(self.keys, keys, "right") - start
        rows = np.repeat(np.arange(len(keys)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return rows, self.order[start[rows] + within]


class Gallery:
    """The identities of a gallery, ready to be asked by queries. Work and memory follow the pairs, not Q x G."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.groups = [Groups(rows.ids), Groups(rows.photos), Groups(rows.sequences)]
        self.labels = Groups(rows.labels)

    def excluded(self, queries: Rows) -> tuple[Ints, Ints]:
        """Pairs (query, gallery position) that are no neighbours, each once: two `(P,)` arrays, ascending."""
        found = []
        for group, keys in zip(self.groups, (queries.ids, queries.photos, queries.sequences), strict=True):
            known = np.nonzero(keys >= 0)[0]  # no sequence is not a sequence that all share
            rows, positions = group.pairs(keys[known])
            found.append(known[rows] * len(self.rows) + positions)
        pairs = np.unique(np.concatenate(found))
        size = max(1, len(self.rows))
        return pairs // size, pairs % size

    def relevant(self, queries: Rows, excluded: tuple[Ints, Ints] | None = None) -> Ints:
        """`(Q,)` how many gallery rows are a match of each query: R in the definitions of the metrics."""
        if excluded is None and len(queries) > QUERIES_AT_ONCE:
            starts = range(0, len(queries), QUERIES_AT_ONCE)
            parts = [self.relevant(queries.take(slice(start, start + QUERIES_AT_ONCE))) for start in starts]
            return np.concatenate(parts)
        rows, positions = self.excluded(queries) if excluded is None else excluded
        same = queries.labels[rows] == self.rows.labels[positions]
        counts = self.labels.count(queries.labels) - np.bincount(rows[same], minlength=len(queries))
        counts[queries.labels < 0] = 0
        return counts
