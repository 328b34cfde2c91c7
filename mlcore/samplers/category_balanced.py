"""Categories drawn evenly, whatever their size: small ones are not drowned by large ones."""

from collections.abc import Iterator

import numpy as np

from mlcore.config import CategoryBalancedSampler
from mlcore.samplers.deck import Deck
from mlcore.samplers.groups import Batch, Categories, Rows


def category_balanced_batches(
    rows: Rows, categories: Categories, sampler: CategoryBalancedSampler, rng: np.random.Generator
) -> Iterator[Batch]:
    """Batches without end, of `rows` of L labels in C categories; labels without a category are a category more.

    Guarantees:
    - Every batch has min(`labels`, L) labels, `instances` rows of each, the rows of a label beside each other, the
      labels of a category too.
    - It has min(`categories`, C) categories, or more where these have too few labels to fill it. They share the
      labels of the batch as evenly as their sizes allow.
    - Categories are drawn evenly: at any time, none has been drawn more than once more often than another.
    - All labels of a category come before one comes again. So every label is seen k times within the first
      ceil(k n C / min(`categories`, C)) batches, n being the number of labels of its category; with
      ceil(k n / s) in the place of k n, where a category gets s labels or more of every batch that it is in.
    - No row comes twice in a batch whose label has `instances` rows; all rows of a label come before one comes again.
    """
    row_decks = [Deck(members, rng) for members in rows]
    groups = list(categories.values())
    label_decks = [Deck(members, rng) for members in groups]
    category_deck = Deck(list(range(len(groups))), rng)
    size = min(sampler.labels, len(rows))
    while True:
        hand: list[int] = []
        while len(hand) < min(sampler.categories, len(groups)) or sum(len(groups[drawn]) for drawn in hand) < size:
            hand.append(category_deck.card(hand))
        shares = share(size, [len(groups[drawn]) for drawn in hand])
        chosen = [label for drawn, count in zip(hand, shares, strict=True) for label in label_decks[drawn].deal(count)]
        yield [row for label in chosen for row in row_decks[label].deal(sampler.instances)]


def share(total: int, rooms: list[int]) -> list[int]:
    """`total` dealt out one by one in turn, to each no more than its room; the rooms hold `total` or more.

    >>> share(8, [1, 9, 9])
    [1, 4, 3]
    """
    shares = [0] * len(rooms)
    while total:
        for place, room in enumerate(rooms):
            if total and shares[place] < room:
                shares[place] += 1
                total -= 1
    return shares
