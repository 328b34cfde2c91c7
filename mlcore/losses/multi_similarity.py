"""Multi-similarity loss: soft maxima over an anchor's positives and over its negatives (Wang et al. 2019)."""

from torch import Tensor
from torch.nn import functional as F

from mlcore.losses.base import log_sum_exp


def multi_similarity(
    cosines: Tensor, positives: Tensor, negatives: Tensor, *, alpha: float, beta: float, base: float
) -> Tensor:
    """Mean over all anchors of `log(1 + sum exp(-alpha (s+ - b))) / alpha + log(1 + sum exp(beta (s- - b))) / beta`.

    b is `base`. An anchor without positives or negatives adds 0 for them.
    cosines `(A, R)`, masks `(A, R)` bool -> scalar. Wang et al. 2019.
    """
    near = log_sum_exp(-alpha * (cosines - base), positives)  # (A, R) -> (A,)
    far = log_sum_exp(beta * (cosines - base), negatives)
    return (F.softplus(near) / alpha + F.softplus(far) / beta).mean()
