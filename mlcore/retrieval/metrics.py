"""The figures of a ranked list. Ranks count from 1.

For a query with R relevant gallery rows (same label; not itself, not its photo and box, not its sequence) and a ranked
list of length n:

    cmc@k        1 if any of the top k is a hit, else 0
    recall@k     hits in the top k / R
    precision@k  hits in the top k / min(k, R, n)
    map@k        sum over the hits in the top k of the precision at their rank / min(k, R)
    map_hits@k   the same sum / the hits found in the top k (0 without a hit): one widely used library's variant, by
                 which 1 of 5 relevant at rank 1 scores 1.0. For comparison with its tables only
    map@r        map@k with k = R (mAP@R; Musgrave, Belongie, Lim 2020)
    r_precision  hits in the top R / R (ibid.)
    mrr          1 / rank of the first hit, 0 without one in the list

A query with R = 0 has no figure: NaN here, left out of every mean and counted by the caller.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
METRICS = ("cmc", "precision", "recall", "map", "map_hits")  # those with a k


def query_metrics(
    hits: NDArray[np.bool_], valid: NDArray[np.bool_], relevant: NDArray[np.int64], ks: Sequence[int]
) -> dict[str, Floats]:
    """Figures of every query: name -> `(Q,)` float64, NaN where R = 0.

    hits: `(Q, n)`, whether the neighbour at each rank is relevant; valid: `(Q, n)`, False past a list's end;
    relevant: `(Q,)`, R. For figures as defined the lists must reach rank max(R, k), or the end of the gallery.

    >>> row = np.array([[True, False, True]])
    >>> round(float(query_metrics(row, np.ones_like(row), np.array([2]), ks=(3,))["map@3"][0]), 4)
    0.8333
    """
    count, depth = hits.shape
    found = np.cumsum(hits, axis=1)  # (Q, n): hits up to each rank
    rank = np.arange(1, depth + 1)
    gain = np.cumsum(hits * (found / rank), axis=1)  # (Q, n): sum of the precisions at hits
    length = valid.sum(1)
    r = np.maximum(relevant, 1)
    result: dict[str, Floats] = {}

    def at(table: NDArray[np.generic], k: NDArray[np.int64] | int) -> Floats:
        """Column k (from 1) of a cumulative table, its last column past the end."""
        if depth == 0:
            return np.zeros(count)
        column = np.minimum(np.broadcast_to(k, count), depth) - 1
        return np.asarray(np.take_along_axis(table, column[:, None], axis=1)[:, 0], dtype=np.float64)

    for k in ks:
        got, area = at(found, k), at(gain, k)
        result[f"cmc@{k}"] = (got > 0).astype(np.float64)
        result[f"precision@{k}"] = got / np.maximum(np.minimum(np.minimum(k, r), length), 1)
        result[f"recall@{k}"] = got / r
        result[f"map@{k}"] = area / np.minimum(k, r)
        result[f"map_hits@{k}"] = area / np.maximum(got, 1)
    result["map@r"] = at(gain, r) / r
    result["r_precision"] = at(found, r) / r
    first = first_hit_ranks(hits)
    result["mrr"] = np.divide(1.0, first, out=np.zeros(count), where=first > 0)
    for values in result.values():
        values[relevant == 0] = np.nan
    return result


def first_hit_ranks(hits: NDArray[np.bool_]) -> NDArray[np.int64]:
    """`(Q, n)` -> `(Q,)`: the rank of the first hit, from 1; 0 without one."""
    if hits.shape[1] == 0:
        return np.zeros(len(hits), dtype=np.int64)
    return np.where(hits.any(1), hits.argmax(1) + 1, 0).astype(np.int64)


def figure_names(ks: Sequence[int]) -> list[str]:
    """The names of `query_metrics`, in its order."""
    return [*(f"{name}@{k}" for k in ks for name in METRICS), "map@r", "r_precision", "mrr"]


def means(figures: dict[str, Floats], chosen: NDArray[np.bool_] | NDArray[np.int64]) -> dict[str, float]:
    """The mean of each figure over the chosen queries, of which each has one; {} where none is chosen."""
    picked = {name: values[chosen] for name, values in figures.items()}
    return {name: float(values.mean()) for name, values in picked.items() if len(values)}
