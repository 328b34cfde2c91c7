"""Batches of one category alone: all negatives look alike, so they are hard."""

from collections.abc import Iterator

import numpy as np

from mlcore.config import DistinctCategorySampler
from mlcore.samplers.deck import Deck
from mlcore.samplers.groups import Batch, Categories, Rows


def distinct_category_batches(
    rows: Rows, categories: Categories, sampler: DistinctCategorySampler, rng: np.random.Generator
) -> Iterator[Batch]:
    """Batches without end, of `rows` of labels in G groups (see `batch_groups`), nearly always the categories.

    Guarantees:
    - Every batch is of one group: min(`labels`, n) of its n labels, `instances` rows of each, the rows of a label
      beside each other. It has two labels or more, if there are two at all.
    - Groups come in turn: every G batches have each once, in random order.
    - All labels of a group come before one comes again. So every label is seen k times within the first
      G ceil(k n / min(`labels`, n)) batches.
    - No row comes twice in a batch whose label has `instances` rows; all rows of a label come before one comes again.
    """
    row_decks = [Deck(members, rng) for members in rows]
    groups = batch_groups(categories)
    label_decks = [Deck(members, rng) for members in groups]
    turns = Deck(list(range(len(groups))), rng)
    while True:
        group = turns.card()
        chosen = label_decks[group].deal(min(sampler.labels, len(groups[group])))
        yield [row for label in chosen for row in row_decks[label].deal(sampler.instances)]


def batch_groups(categories: Categories) -> list[list[int]]:
    """The labels of each category, so that every label has another one to be told from.

    Labels without a category, and those that are alone in theirs, are a group together; if that is a single label, it
    joins the smallest category.
    """
    groups = [labels for name, labels in categories.items() if name is not None and len(labels) > 1]
    rest = [label for name, labels in categories.items() if name is None or len(labels) == 1 for label in labels]
    if len(rest) == 1 and groups:
        smallest = min(groups, key=len)
        return [labels + rest if labels is smallest else labels for labels in groups]
    return [*groups, rest] if rest else groups
