"""The guarantees of the samplers, on made-up labels."""

from collections import Counter

import pytest

from mlcore.config import BalancedSampler, ShuffleSampler
from mlcore.samplers import plan_batches


def rows_of(*sizes: int) -> list[str]:
    return [f"label-{label}" for label, size in enumerate(sizes) for _ in range(size)]


@pytest.mark.parametrize("count", [4, 7, 9, 23])
def test_every_label_is_seen_once_per_epoch_and_batches_are_balanced(count: int) -> None:
    labels = rows_of(*[5] * count)
    sampler = BalancedSampler(labels=4, instances=3)
    batches_per_epoch = -(-count // 4)
    plan = plan_batches(labels, sampler, steps=3 * batches_per_epoch, seed=1)
    for epoch in range(3):
        batches = plan[epoch * batches_per_epoch : (epoch + 1) * batches_per_epoch]
        assert {labels[row] for batch in batches for row in batch} == set(labels)
    for batch in plan:
        assert sorted(Counter(labels[row] for row in batch).values()) == [3] * min(4, count)
        assert len(set(batch)) == len(batch)


def test_a_short_label_repeats_a_photo_only_after_all_its_photos() -> None:
    labels = rows_of(1, 2, 3, 8)
    for batch in plan_batches(labels, BalancedSampler(labels=4, instances=4), steps=20, seed=0):
        counts = {label: Counter(row for row in batch if labels[row] == label) for label in set(labels)}
        for label, count in counts.items():
            size = labels.count(label)
            assert len(count) == min(4, size)
            assert max(count.values()) - min(count.values()) <= 1


def test_all_photos_of_a_label_come_round_before_one_comes_again() -> None:
    labels = rows_of(6, 6)
    plan = plan_batches(labels, BalancedSampler(labels=2, instances=3), steps=8, seed=0)
    for first in range(0, 8, 2):
        assert sorted(plan[first] + plan[first + 1]) == list(range(12))


def test_fewer_labels_than_a_batch_holds() -> None:
    labels = rows_of(3, 3)
    plan = plan_batches(labels, BalancedSampler(labels=16, instances=2), steps=2, seed=0)
    assert [len(batch) for batch in plan] == [4, 4]


def test_shuffle_shows_every_row_at_most_once_an_epoch() -> None:
    plan = plan_batches(rows_of(*[5] * 5), ShuffleSampler(batch_size=8), steps=6, seed=0)
    for first in (0, 3):
        rows = [row for batch in plan[first : first + 3] for row in batch]
        assert len(rows) == len(set(rows)) == 24


def test_shuffle_with_fewer_rows_than_a_batch() -> None:
    assert [
        sorted(batch) for batch in plan_batches(["a", "a", "b"], ShuffleSampler(batch_size=8), steps=2, seed=0)
    ] == [
        [0, 1, 2],
        [0, 1, 2],
    ]


@pytest.mark.parametrize("sampler", [BalancedSampler(labels=4, instances=2), ShuffleSampler(batch_size=8)])
def test_a_longer_plan_begins_like_a_shorter_one(sampler: BalancedSampler | ShuffleSampler) -> None:
    labels = rows_of(*[5] * 9)
    assert plan_batches(labels, sampler, steps=30, seed=3)[:7] == plan_batches(labels, sampler, steps=7, seed=3)
    assert plan_batches(labels, sampler, steps=30, seed=3) != plan_batches(labels, sampler, steps=30, seed=4)
