"""Metrics of retrieval made smooth: ranks and cuts at k become sums of sigmoids."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mlcore.losses.base import mean_over


def soft_hits(
    cosines: Tensor,
    positives: Tensor,
    negatives: Tensor,
    ks: Sequence[int],
    *,
    rank_temperature: float,
    top_temperature: float,
) -> Tensor:
    """How many positives of each anchor stand among its k most similar candidates: `(A, len(ks))`, in 0..k.

    The rank of a candidate j is `1 + sum over others l of sigmoid((s_l - s_j) / rank_temperature)`, and it counts by
    `sigmoid((k + 1/2 - rank) / top_temperature)`. As the temperatures go to 0, this is the number of hits; the half is
    what makes rank k count whole and rank k + 1 not at all. The sum, which soft cuts may lift above k, stops there.
    """
    anchors, columns = positives.nonzero(as_tuple=True)  # (P,): only the ranks of positives are needed
    ahead = torch.sigmoid((cosines[anchors] - cosines[anchors, columns][:, None]) / rank_temperature)  # (P, R)
    # The sum holds the candidate itself, whose sigmoid(0) is 1/2 whatever it is.
    ranks = 0.5 + torch.where((positives | negatives)[anchors], ahead, 0).sum(1)  # (P, R) -> (P,)
    hits = []
    for k in ks:
        inside = torch.sigmoid((k + 0.5 - ranks) / top_temperature)
        hits.append(torch.zeros_like(cosines).index_put((anchors, columns), inside).sum(1).clamp(max=k))
    return torch.stack(hits, 1)


def precision_surrogate(
    cosines: Tensor,
    positives: Tensor,
    negatives: Tensor,
    *,
    k: int,
    rank_temperature: float,
    top_temperature: float,
) -> Tensor:
    """`1 - precision@k`, smooth, mean over anchors with a positive and a negative. Precision: hits / min(k, R).

    cosines `(A, R)`, masks `(A, R)` bool -> scalar in 0..1. The idea is Open Metric Learning's `SurrogatePrecision`,
    which ranks by distance and counts the anchor as its own first hit; here it is no candidate, nor is a copy of it.
    """
    counts = positives.sum(1)
    hits = soft_hits(
        cosines, positives, negatives, [k], rank_temperature=rank_temperature, top_temperature=top_temperature
    )
    precision = hits[:, 0] / counts.clamp(min=1, max=k)
    return mean_over(1 - precision, (counts > 0) & negatives.any(1))


def recall_surrogate(
    cosines: Tensor,
    positives: Tensor,
    negatives: Tensor,
    *,
    ks: Sequence[int],
    rank_temperature: float,
    top_temperature: float,
) -> Tensor:
    """`1 - recall@k`, smooth, mean over several k and over anchors with a positive and a negative. Recall: hits / R.

    cosines `(A, R)`, masks `(A, R)` bool -> scalar in 0..1; no ranking costs less than `1 - mean of min(1, k / R)`.
    Patel, Tolias, Matas 2022, with the cut half a rank lower (see `soft_hits`).
    """
    counts = positives.sum(1)
    hits = soft_hits(
        cosines, positives, negatives, ks, rank_temperature=rank_temperature, top_temperature=top_temperature
    )
    recall = hits.mean(1) / counts.clamp(min=1)
    return mean_over(1 - recall, (counts > 0) & negatives.any(1))
