"""Anchors and what they are compared with: the contract between losses, miners and the memory bank."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Candidates:
    """Anchors and what they are compared with: first the batch itself, then, with a memory bank, past batches.

    anchors: `(A, D)` float32; references: `(R, D)` float32, the first A rows the anchors; past ones carry no gradient.
    anchor_labels `(A,)`, reference_labels `(R,)`: int64. positives, negatives: `(A, R)` bool, see `pair_masks`.
    """

    anchors: Tensor
    references: Tensor
    anchor_labels: Tensor
    reference_labels: Tensor
    positives: Tensor
    negatives: Tensor


def batch_candidates(embeddings: Tensor, labels: Tensor, photos: Tensor) -> Candidates:
    """A batch against itself."""
    vectors = embeddings.float()
    positives, negatives = pair_masks(labels, photos)
    return Candidates(vectors, vectors, labels, labels, positives, negatives)


def pair_masks(
    labels: Tensor, photos: Tensor, other_labels: Tensor | None = None, other_photos: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """(positives, negatives), both `(A, R)` bool. A row is never its own positive, nor is a copy of it.

    labels, photos: `(A,)` int64; the others `(R,)`, or none: the same rows. Rows of one photo under two labels are
    negatives of each other.
    """
    other_labels = labels if other_labels is None else other_labels
    other_photos = photos if other_photos is None else other_photos
    same_label = labels[:, None] == other_labels[None, :]
    same_photo = photos[:, None] == other_photos[None, :]
    return same_label & ~same_photo, ~same_label
