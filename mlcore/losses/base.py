"""What every loss takes and gives, and the arithmetic that several share."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlcore.candidates import Candidates, batch_candidates
from mlcore.config import MemoryBank
from mlcore.miners import Memory

NOTHING = -1e30  # stands for minus infinity in sums of exponentials; the gradient of the true one is NaN


@dataclass(frozen=True)
class LossOutput:
    """`value`: a scalar with a gradient path, always. `figures`: inner ones, scalars without gradient."""

    value: Tensor
    figures: dict[str, Tensor] = field(default_factory=dict)

    @property
    def logs(self) -> dict[str, float]:
        """The figures as numbers. All leave the device at once, and only when asked: read it when it is shown."""
        if not self.figures:
            return {}
        numbers = torch.stack(list(self.figures.values())).tolist()
        return dict(zip(self.figures, numbers, strict=True))


class MetricLoss(nn.Module):
    """`forward(embeddings, labels, photos)`.

    embeddings: `(B, D)` float, of unit length (they are normalised here again, in float32, whatever autocast made of
    them; a row of zeros stays zeros). labels: `(B,)` int64, which identity. photos: `(B,)` int64, which photo and box;
    two rows of one photo are no positives of each other, whatever their labels.
    """

    def forward(self, embeddings: Tensor, labels: Tensor, photos: Tensor) -> LossOutput:
        with torch.autocast(embeddings.device.type, enabled=False):  # differences of near vectors need float32
            return self.measure(unit(embeddings), labels, photos)

    def measure(self, embeddings: Tensor, labels: Tensor, photos: Tensor) -> LossOutput:
        """The loss of float32 embeddings of unit length, outside of autocast."""
        raise NotImplementedError


class ComparingLoss(MetricLoss):
    """Compares the batch with itself and, with a memory bank, with past batches: `compare` is the loss of that."""

    def __init__(self, memory: MemoryBank | None, dimension: int) -> None:
        super().__init__()
        self.memory = Memory(memory, dimension) if memory else None

    def measure(self, embeddings: Tensor, labels: Tensor, photos: Tensor) -> LossOutput:
        if self.memory is None:
            candidates = batch_candidates(embeddings, labels, photos)
        else:
            candidates = self.memory.candidates(embeddings, labels, photos)
        output = self.compare(candidates)
        if self.memory is not None and self.training:  # only now: a batch is not its own past
            self.memory.store(embeddings, labels, photos)
        return output

    def compare(self, candidates: Candidates) -> LossOutput:
        raise NotImplementedError


def unit(vectors: Tensor) -> Tensor:
    """Rows of length 1, float32. A row of zeros stays zeros; rows shorter than 1e-6 stay shorter than 1."""
    return F.normalize(vectors.float(), dim=-1, eps=1e-6)


def directions(*shape: int) -> nn.Parameter:
    """Learnt vectors that start as random ones of length 1.

    They are normalised wherever they are used, so their length only divides their steps: with 1, a learning rate means
    the same for any number of labels and any dimension.
    """
    return nn.Parameter(unit(torch.randn(shape)))


def distances(cosines: Tensor) -> Tensor:
    """Euclidean distances, in 0..2, of unit vectors with these cosines; finite gradients where they are the same.

    A row of zeros lies at the square root of 2 from everything, as if at right angles.
    """
    # The gradient of sqrt is infinite at 0; below the clamp it is 0.
    return (2 - 2 * cosines).clamp(min=1e-12).sqrt()


def mean_over(values: Tensor, mask: Tensor) -> Tensor:
    """The mean where `mask` holds, a scalar; 0, with a gradient of zeros, where it holds nowhere."""
    return torch.where(mask, values, 0).sum() / mask.sum().clamp(min=1)


def log_sum_exp(values: Tensor, mask: Tensor, dim: int = 1) -> Tensor:
    """log of the sum of exp along `dim` where `mask` holds; about -1e30, with a gradient of zeros, where nowhere."""
    return values.masked_fill(~mask, NOTHING).logsumexp(dim)


def pair_figures(cosines: Tensor, candidates: Candidates) -> dict[str, Tensor]:
    """The mean Euclidean distance of all positive and of all negative pairs; 0 where there is none."""
    spread = distances(cosines.detach())
    return {
        "positive_distance": mean_over(spread, candidates.positives),
        "negative_distance": mean_over(spread, candidates.negatives),
    }
