"""Which rows make up which batch. Pure functions of (labels, recipe, seed): a resumed run slices the same list."""

from collections.abc import Sequence

import numpy as np

from mlcore.config import BalancedSampler, Sampler, ShuffleSampler

Batches = list[list[int]]


def plan_batches(labels: Sequence[str], sampler: Sampler, *, steps: int, seed: int) -> Batches:
    """The batches of a whole training: `steps` lists of row numbers into `labels` `(N,)`."""
    rng = np.random.default_rng([seed, 1])
    batches: Batches = []
    match sampler:
        case BalancedSampler():
            decks = {label: Deck(rows, rng) for label, rows in group_rows(labels).items()}
            while len(batches) < steps:
                batches += balanced_epoch(decks, sampler, rng)
        case ShuffleSampler():
            while len(batches) < steps:
                order = rng.permutation(len(labels)).tolist()
                size = min(sampler.batch_size, len(order))
                batches += [order[at : at + size] for at in range(0, len(order) - size + 1, size)]
    return batches[:steps]


def group_rows(labels: Sequence[str]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        groups.setdefault(label, []).append(row)
    return groups


class Deck:
    """The rows of one label, dealt like cards: none comes twice before all have come once."""

    def __init__(self, rows: list[int], rng: np.random.Generator) -> None:
        self.rows, self.rng = rows, rng
        self.left: list[int] = []

    def deal(self, count: int) -> list[int]:
        """`count` rows; distinct while the label has that many, else as even as can be."""
        dealt: list[int] = []
        while len(dealt) < count:
            if not self.left:
                # Cards already in this hand go to the bottom, so that a reshuffle does not deal them twice.
                order = self.rng.permutation(self.rows).tolist()
                self.left = [row for row in order if row in dealt] + [row for row in order if row not in dealt]
            dealt.append(self.left.pop())
        return dealt


def balanced_epoch(decks: dict[str, Deck], sampler: BalancedSampler, rng: np.random.Generator) -> Batches:
    """One epoch: every label at least once. The last batch is filled with labels that it does not hold yet.

    With fewer labels than `sampler.labels` every batch holds all of them.
    """
    order = [list(decks)[index] for index in rng.permutation(len(decks))]
    size = min(sampler.labels, len(order))
    batches: Batches = []
    for at in range(0, len(order), size):
        chosen = order[at : at + size]
        missing = size - len(chosen)
        if missing:
            others = order[:at]
            chosen = chosen + [others[index] for index in rng.permutation(len(others))[:missing]]
        batches.append([row for label in chosen for row in decks[label].deal(sampler.instances)])
    return batches
