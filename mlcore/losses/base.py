"""What every loss takes and gives."""

from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass(frozen=True)
class LossOutput:
    """`value`: scalar with a gradient path, always. `logs`: inner figures, such as the share of active triplets."""

    value: Tensor
    logs: dict[str, float] = field(default_factory=dict)


class MetricLoss(nn.Module):
    """`forward(embeddings, labels, photos)`.

    embeddings: `(B, D)` float, of unit length. labels: `(B,)` int64, which identity. photos: `(B,)` int64, which photo
    and box; two rows of one photo are no positives of each other, whatever their labels.
    """

    def forward(self, embeddings: Tensor, labels: Tensor, photos: Tensor) -> LossOutput:
        raise NotImplementedError


def pair_masks(labels: Tensor, photos: Tensor) -> tuple[Tensor, Tensor]:
    """(positives, negatives), both `(B, B)` bool. A row is never its own positive, nor is a copy of it."""
    same_label = labels[:, None] == labels[None, :]
    same_photo = photos[:, None] == photos[None, :]
    return same_label & ~same_photo, ~same_label
