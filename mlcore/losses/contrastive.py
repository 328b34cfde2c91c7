"""Contrastive loss: positives together, negatives apart, each up to a margin (Hadsell, Chopra, LeCun 2006)."""

from torch import Tensor

from mlcore.losses.base import distances, mean_over


def contrastive(
    cosines: Tensor, positives: Tensor, negatives: Tensor, *, positive_margin: float, negative_margin: float
) -> Tensor:
    """`mean max(0, d+ - positive_margin)^2 / 2 + mean max(0, negative_margin - d-)^2 / 2`, d Euclidean, in 0..2.

    Each mean is over the pairs that violate their margin: most negatives are far enough from the first step on, and
    would thin out those that are not. cosines `(A, R)`, masks `(A, R)` bool -> scalar. Hadsell et al. 2006,
    whose positive margin is 0.
    """
    spread = distances(cosines)
    near = negative_margin - spread
    far = spread - positive_margin
    return (mean_over(far.square(), positives & (far > 0)) + mean_over(near.square(), negatives & (near > 0))) / 2
