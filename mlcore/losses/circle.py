"""Circle loss: each pair pulls the harder, the farther it is from its optimum (Sun et al. 2020)."""

from torch import Tensor
from torch.nn import functional as F

from mlcore.losses.base import log_sum_exp, mean_over


def circle(cosines: Tensor, positives: Tensor, negatives: Tensor, *, margin: float, scale: float) -> Tensor:
    """Mean over anchors of `log(1 + sum exp(scale a- (s- - m)) * sum exp(-scale a+ (s+ - 1 + m)))`, m the margin.

    The weights `a+ = 1 + m - s+`, never below 0, and `a- = max(0, s- + m)` carry no gradient. Anchors that lack
    positives or negatives are left out. cosines `(A, R)`, masks `(A, R)` bool -> scalar. Sun et al. 2020.
    """
    fixed = cosines.detach()
    pull = -scale * (1 + margin - fixed) * (cosines - 1 + margin)
    push = scale * F.relu(fixed + margin) * (cosines - margin)
    losses = F.softplus(log_sum_exp(pull, positives) + log_sum_exp(push, negatives))  # (A, R) -> (A,)
    return mean_over(losses, positives.any(1) & negatives.any(1))
