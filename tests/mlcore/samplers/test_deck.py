"""Cards, dealt evenly."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlcore.samplers.deck import Deck
from tests.mlcore.samplers.cases import quick


@quick
@given(st.integers(1, 9), st.lists(st.integers(0, 20), max_size=12), st.integers(0, 99))
def test_hands_are_distinct_and_no_card_comes_twice_more_than_another(size: int, hands: list[int], seed: int) -> None:
    deck = Deck(list(range(size)), np.random.default_rng(seed))
    seen: Counter[int] = Counter(dict.fromkeys(range(size), 0))
    for count in hands:
        hand = deck.deal(count)
        assert len(hand) == count
        in_hand = Counter(dict.fromkeys(range(size), 0)) + Counter(hand)
        assert len(in_hand) == min(count, size)
        assert max(in_hand.values(), default=0) <= -(-count // size)
        for card in hand:
            seen[card] += 1
            assert max(seen.values()) - min(seen.values()) <= 1


def test_every_order_comes_alike() -> None:
    deck = Deck([0, 1, 2], np.random.default_rng(0))
    orders = Counter(tuple(deck.deal(3)) for _ in range(3000))
    assert sum((count - 500) ** 2 / 500 for count in orders.values()) < 20.52  # chi-squared, 5 degrees, 0.001
    assert len(orders) == 6
