"""Losses that tell positives from negatives by a softmax over cosines: NT-Xent (InfoNCE) and SupCon."""

from torch import Tensor
from torch.nn import functional as F

from mlcore.losses.base import log_sum_exp, mean_over


def nt_xent(cosines: Tensor, positives: Tensor, negatives: Tensor, *, temperature: float) -> Tensor:
    """Mean over positive pairs of `-log(exp(s+ / t) / (exp(s+ / t) + sum of exp(s- / t)))`, s- of the same anchor.

    One term per pair: an anchor's other positives are not in its denominator. cosines `(A, R)`, masks `(A, R)` bool
    -> scalar. InfoNCE: Oord et al. 2018; NT-Xent: Chen et al. 2020, for any number of positives.
    """
    logits = cosines / temperature
    crowd = log_sum_exp(logits, negatives)  # (A, R) -> (A,)
    return mean_over(F.softplus(crowd[:, None] - logits), positives)


def sup_con(cosines: Tensor, positives: Tensor, negatives: Tensor, *, temperature: float) -> Tensor:
    """Mean over anchors of the mean over their positives of `-log(exp(s+ / t) / sum of exp(s / t))`.

    The sum runs over all positives and negatives of the anchor; anchors that lack either are left out.
    cosines `(A, R)`, masks `(A, R)` bool -> scalar. Khosla et al. 2020, L_out: the sum outside of the logarithm.
    """
    logits = cosines / temperature
    everything = log_sum_exp(logits, positives | negatives)  # (A, R) -> (A,)
    counts = positives.sum(1)
    pull = logits.masked_fill(~positives, 0).sum(1) / counts.clamp(min=1)  # (A, R) -> (A,): mean over positives
    return mean_over(everything - pull, (counts > 0) & negatives.any(1))
