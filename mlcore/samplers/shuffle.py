"""Rows in random order, for losses that need neither positives nor negatives in a batch."""

from collections.abc import Iterator

import numpy as np

from mlcore.config import ShuffleSampler
from mlcore.samplers.deck import Deck
from mlcore.samplers.groups import Batch


def shuffle_batches(count: int, sampler: ShuffleSampler, rng: np.random.Generator) -> Iterator[Batch]:
    """Batches without end, of rows 0 to `count` - 1.

    Guarantees:
    - Every batch has min(`batch_size`, `count`) rows, all different.
    - All rows come before one comes again: what is left over at the end of a round begins the next batch. So every
      row is seen k times within the first ceil(k `count` / `batch_size`) batches.
    """
    deck = Deck(list(range(count)), rng)
    size = min(sampler.batch_size, count)
    while True:
        yield deck.deal(size)
