"""The memory bank: embeddings of past batches that anchors are also compared with.

It gives a miner of triplets many more negatives than a batch holds (the queue of He et al. 2020, without a second
network), and any pair loss cross-batch pairs (Wang et al. 2020): embeddings change slowly, so recent ones still tell.
"""

import torch
from torch import Tensor, nn

from mlcore.candidates import Candidates, pair_masks
from mlcore.config import MemoryBank


class Memory(nn.Module):
    """A ring of the last `size` embeddings with their labels, photos and steps. A step is one call of `store`.

    All of it is buffers, hence in the state_dict: a resumed training has the same bank. Nothing in it has a gradient.

        candidates = memory.candidates(embeddings, labels, photos)
        memory.store(embeddings, labels, photos)
    """

    embeddings: Tensor  # (S, D) float32
    labels: Tensor  # (S,) int64
    photos: Tensor  # (S,) int64
    stored_at: Tensor  # (S,) int64, the step; -1: never filled
    step: Tensor  # () int64, how many batches were stored
    next_slot: Tensor  # () int64

    def __init__(self, config: MemoryBank, dimension: int) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("embeddings", torch.zeros(config.size, dimension))
        self.register_buffer("labels", torch.zeros(config.size, dtype=torch.int64))
        self.register_buffer("photos", torch.zeros(config.size, dtype=torch.int64))
        self.register_buffer("stored_at", torch.full((config.size,), -1))
        self.register_buffer("step", torch.tensor(0))
        self.register_buffer("next_slot", torch.tensor(0))

    def candidates(self, embeddings: Tensor, labels: Tensor, photos: Tensor) -> Candidates:
        """The batch against itself and then, in no promised order, against the bank's entries that are fresh.

        embeddings `(B, D)`, labels `(B,)`, photos `(B,)` -> B anchors, B to B + `size` references. An entry of the
        last step is 1 old; one older than `max_age` does not join. None joins in the first `start_step` steps.
        An earlier embedding of an anchor's own photo, or of a copy, is no positive of it.
        """
        age = self.step - self.stored_at
        joins = (self.stored_at >= 0) & (age <= self.config.max_age) & (self.step >= self.config.start_step)
        anchors = embeddings.float()
        # Indexing by a mask copies: what is stored later does not change what the backward pass needs.
        references = torch.cat([anchors, self.embeddings[joins]])
        reference_labels = torch.cat([labels, self.labels[joins]])
        positives, negatives = pair_masks(labels, photos, reference_labels, torch.cat([photos, self.photos[joins]]))
        return Candidates(anchors, references, labels, reference_labels, positives, negatives)

    @torch.no_grad()
    def store(self, embeddings: Tensor, labels: Tensor, photos: Tensor) -> None:
        """Puts a batch of any size in the place of the oldest entries; of a batch larger than the bank, its end."""
        size = self.config.size
        embeddings, labels, photos = embeddings[-size:], labels[-size:], photos[-size:]
        slots = (self.next_slot + torch.arange(len(labels), device=self.next_slot.device)) % size
        self.embeddings[slots] = embeddings.float()
        self.labels[slots] = labels
        self.photos[slots] = photos
        self.stored_at[slots] = self.step
        self.next_slot.copy_((self.next_slot + len(labels)) % size)
        self.step.add_(1)
