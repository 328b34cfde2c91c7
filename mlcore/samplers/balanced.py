"""Labels x instances: the batches of metric learning, where every anchor has positives and negatives."""

from collections.abc import Iterator

import numpy as np

from mlcore.config import BalancedSampler
from mlcore.samplers.deck import Deck
from mlcore.samplers.groups import Batch, Rows


def balanced_batches(rows: Rows, sampler: BalancedSampler, rng: np.random.Generator) -> Iterator[Batch]:
    """Batches without end, of `rows` of L labels.

    Guarantees:
    - Every batch has min(`labels`, L) labels, `instances` rows of each, the rows of a label beside each other.
    - Every epoch of ceil(L / `labels`) batches has every label; only its last batch repeats labels of other batches.
    - No row comes twice in a batch whose label has `instances` rows; else its rows are repeated evenly.
    - All rows of a label come before one comes again: a row is seen within as many epochs as its label has rows, over
      `instances`, rounded up.
    """
    decks = [Deck(members, rng) for members in rows]
    size = min(sampler.labels, len(rows))
    while True:
        order = rng.permutation(len(rows)).tolist()
        for at in range(0, len(order), size):
            chosen = order[at : at + size]
            missing = size - len(chosen)
            if missing:
                chosen = chosen + rng.permutation(order[:at])[:missing].tolist()
            yield [row for label in chosen for row in decks[label].deal(sampler.instances)]
