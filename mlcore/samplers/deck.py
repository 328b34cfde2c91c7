"""A deck of cards: dealt in random order, none twice before all have come once."""

from collections import Counter
from collections.abc import Sequence

import numpy as np


class Deck:
    """Deals `cards` (distinct numbers) in rounds; each round is every card once, in a new random order.

    So after any number of cards dealt, no card has come more than once more often than another.
    """

    def __init__(self, cards: list[int], rng: np.random.Generator) -> None:
        self.cards, self.rng = cards, rng
        self.left: list[int] = []

    def card(self, hand: Sequence[int] = ()) -> int:
        """The next card; `hand` holds those that this deck dealt before it into the same batch.

        It is none of the hand while that holds fewer than all cards, and then one that the hand has least often.
        """
        if not self.left:
            # The more often a card is in this hand, the deeper it goes, so that a new round does not deal it again.
            order: list[int] = self.rng.permutation(self.cards).tolist()
            self.left = sorted(order, key=Counter(hand).__getitem__, reverse=True)
        return self.left.pop()

    def deal(self, count: int) -> list[int]:
        """`count` cards; distinct while the deck has that many, else as even as can be."""
        hand: list[int] = []
        while len(hand) < count:
            hand.append(self.card(hand))
        return hand
