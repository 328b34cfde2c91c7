"""Losses with a learnt proxy per label: proxy-anchor and ProxyNCA++."""

from torch import Tensor
from torch.nn import functional as F

from mlcore.config import ProxyAnchor, ProxyNCA
from mlcore.losses.base import LossOutput, MetricLoss, directions, log_sum_exp, unit


def proxy_anchor(cosines: Tensor, positives: Tensor, *, margin: float, alpha: float) -> Tensor:
    """`mean over P+ of log(1 + sum exp(-alpha (s+ - margin))) + mean over P of log(1 + sum exp(alpha (s- + margin)))`.

    P: all proxies; P+: those whose label is in the batch; s+ and s-: cosines of a proxy to the rows of its label and
    to the others. cosines `(B, K)`, positives `(B, K)` bool -> scalar. Kim et al. 2020.
    """
    pull = F.softplus(log_sum_exp(-alpha * (cosines - margin), positives, dim=0))  # (B, K) -> (K,); 0 outside of P+
    push = F.softplus(log_sum_exp(alpha * (cosines + margin), ~positives, dim=0))
    return pull.sum() / positives.any(0).sum().clamp(min=1) + push.mean()


class ProxyLoss(MetricLoss):
    """Proxies `(K, D)`, one per label 0..K-1; they are normalised like the embeddings. Logs the cosine to the own."""

    def __init__(self, *, labels: int, dimension: int) -> None:
        super().__init__()
        self.proxies = directions(labels, dimension)

    def measure(self, embeddings: Tensor, labels: Tensor, photos: Tensor) -> LossOutput:
        similarity = embeddings @ unit(self.proxies).T  # (B, D), (K, D) -> (B, K)
        own = similarity.detach().gather(1, labels[:, None])
        return LossOutput(self.compare(similarity, labels), {"cosine_to_proxy": own.mean()})

    def compare(self, similarity: Tensor, labels: Tensor) -> Tensor:
        raise NotImplementedError


class ProxyAnchorLoss(ProxyLoss):
    """`proxy_anchor` of the batch."""

    def __init__(self, config: ProxyAnchor, *, labels: int, dimension: int) -> None:
        super().__init__(labels=labels, dimension=dimension)
        self.config = config

    def compare(self, similarity: Tensor, labels: Tensor) -> Tensor:
        positives = F.one_hot(labels, similarity.shape[1]).bool()
        return proxy_anchor(similarity, positives, margin=self.config.margin, alpha=self.config.alpha)


class ProxyNCALoss(ProxyLoss):
    """Mean over the batch of `-log(exp(-d^2 / t) / sum over all proxies of exp(-d^2 / t))`, d the Euclidean distance.

    The numerator is the own proxy's, which the denominator holds as well. ProxyNCA++: Teh et al. 2020.
    """

    def __init__(self, config: ProxyNCA, *, labels: int, dimension: int) -> None:
        super().__init__(labels=labels, dimension=dimension)
        self.config = config

    def compare(self, similarity: Tensor, labels: Tensor) -> Tensor:
        squared = 2 - 2 * similarity  # of unit vectors
        return F.cross_entropy(-squared / self.config.temperature, labels)
