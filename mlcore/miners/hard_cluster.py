"""Labels as clusters: means instead of single samples, which one wrong label moves but little."""

import torch
from torch import Tensor

from mlcore.candidates import Candidates
from mlcore.miners.base import TripletMiner


class HardClusterMiner(TripletMiner):
    """The anchor is the mean of a label, its positive the farthest member, its negative the nearest mean of another.

    Means are taken over all references, those of a memory bank among them, and are not of unit length. Anchors are
    the labels of the batch that have a positive pair: a label with one photo, or with copies of one, has no extent.
    """

    def gaps(self, distances: Tensor, candidates: Candidates) -> Tensor:
        """`(T,)`, one per label that is an anchor, ascending. Works from the embeddings; `distances` are not used."""
        vectors = candidates.references
        labels, place = torch.unique(candidates.reference_labels, return_inverse=True)  # (K,), (R,)
        sums = vectors.new_zeros(len(labels), vectors.shape[1]).index_add(0, place, vectors)
        means = sums / place.bincount()[:, None]  # (K, D)
        anchors = torch.unique(place[: len(candidates.anchors)][candidates.positives.any(1)])  # (T,)
        if len(labels) < 2:
            return length(vectors)[:0]
        extent = length(vectors - means[place])  # (R,)
        farthest = extent.new_zeros(len(labels)).scatter_reduce(0, place, extent, "amax")
        with torch.no_grad():
            # Not by a matrix product: for means that are close its error is as large as their distance.
            between = torch.cdist(means[anchors], means, compute_mode="donot_use_mm_for_euclid_dist")  # (T, K)
            between[torch.arange(len(anchors), device=anchors.device), anchors] = torch.inf
            nearest = between.argmin(1)
        return farthest[anchors] - length(means[anchors] - means[nearest])


def length(vectors: Tensor) -> Tensor:
    """`(N, D)` -> `(N,)`. The gradient of sqrt is infinite at 0; below the clamp it is 0."""
    return vectors.square().sum(1).clamp(min=1e-12).sqrt()
