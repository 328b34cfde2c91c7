"""The figures of a ranked list. Definitions as printed beside each; ranks count from 1.

For a query with R relevant gallery rows and a ranked list of length n:
CMC@k: any hit in the top k. recall@k: hits in the top k / R. precision@k: hits / min(k, R, n).
AP@k: sum over the hits in the top k of the precision at their rank, divided by min(k, R) (`map`) or by the hits found
(`map_hits`, the variant of one well-known library). mAP@R and R-precision: Musgrave et al. 2020. MRR: 1 / rank of the
first hit.
A query with R = 0 has no figure: NaN here, left out of every mean and counted by the caller.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
METRICS = ("cmc", "precision", "recall", "map", "map_hits")


def query_metrics(
    hits: NDArray[np.bool_], valid: NDArray[np.bool_], relevant: NDArray[np.int64], ks: Sequence[int]
) -> dict[str, Floats]:
    """Figures of every query: name -> `(Q,)` float64, NaN where R = 0.

    hits: `(Q, n)`, whether the neighbour at each rank is relevant; valid: `(Q, n)`, False past a list's end;
    relevant: `(Q,)`, R. For `map@r` and `r_precision` the lists must reach rank max(R), or the end of the gallery.
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
    first = np.where(hits.any(1), hits.argmax(1) + 1, 0) if depth else np.zeros(count)
    result["mrr"] = np.divide(1.0, first, out=np.zeros(count), where=first > 0)
    for values in result.values():
        values[relevant == 0] = np.nan
    return result
