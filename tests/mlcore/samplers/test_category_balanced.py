"""The guarantees of categories that are drawn evenly."""

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlcore.config import CategoryBalancedSampler
from mlcore.samplers import plan_batches
from mlcore.samplers.category_balanced import share
from tests.mlcore.samplers.cases import Table, quick, table, tables

samplers = st.builds(
    lambda categories, more, instances: CategoryBalancedSampler(
        categories=categories, labels=max(2, categories + more), instances=instances
    ),
    st.integers(1, 4),
    st.integers(0, 5),
    st.integers(2, 3),
)


def labels_by_category(table: Table, batch: list[int]) -> dict[str | None, set[str]]:
    found: dict[str | None, set[str]] = {}
    for label in table.labels_of(batch):
        found.setdefault(table.category(label), set()).add(label)
    return found


@quick
@given(tables, samplers, st.integers(0, 99))
def test_batches_are_full_and_shared_evenly(table: Table, sampler: CategoryBalancedSampler, seed: int) -> None:
    members = table.members()
    size = min(sampler.labels, len(set(table.labels)))
    for batch in plan_batches(table.labels, sampler, steps=15, seed=seed, categories=table.categories):
        assert list(Counter(table.labels_of(batch)).values()) == [sampler.instances] * size
        found = labels_by_category(table, batch)
        least = min(sampler.categories, len(members))
        assert len(found) >= least
        if len(found) > least:  # the last one joined since those before it could not fill the batch
            assert sum(len(members[name]) for name in list(found)[:-1]) < size
        not_whole = [len(labels) for name, labels in found.items() if labels != members[name]]
        most = max(len(labels) for labels in found.values())
        assert all(count >= most - 1 for count in not_whole)


@quick
@given(tables, samplers, st.integers(0, 99), st.integers(1, 3))
def test_every_label_is_seen_within_the_bound(
    table: Table, sampler: CategoryBalancedSampler, seed: int, times: int
) -> None:
    members = table.members()
    drawn = min(sampler.categories, len(members))
    bounds = {name: -(-times * len(labels) * len(members) // drawn) for name, labels in members.items()}
    plan = plan_batches(table.labels, sampler, steps=max(bounds.values()), seed=seed, categories=table.categories)
    for name, labels in members.items():
        seen = Counter(label for batch in plan[: bounds[name]] for label in set(table.labels_of(batch)))
        assert all(seen[label] >= times for label in labels)


def test_large_categories_are_seen_within_the_narrower_bound() -> None:
    data = table(a=[3] * 12, b=[3] * 9, c=[3] * 4)
    sampler = CategoryBalancedSampler(categories=2, labels=8, instances=2)  # 4 labels of each
    plan = plan_batches(data.labels, sampler, steps=5, seed=0, categories=data.categories)
    # ceil(12 / 4) draws of the largest, ceil(3 x 3 / 2) batches
    assert {label for batch in plan for label in data.labels_of(batch)} == set(data.labels)
    assert all(len(labels_by_category(data, batch)) == 2 for batch in plan)


@quick
@given(tables, samplers, st.integers(0, 99))
def test_no_category_is_drawn_twice_more_than_another(
    table: Table, sampler: CategoryBalancedSampler, seed: int
) -> None:
    seen: Counter[str | None] = Counter(dict.fromkeys(table.members(), 0))
    for batch in plan_batches(table.labels, sampler, steps=20, seed=seed, categories=table.categories):
        seen.update(list(labels_by_category(table, batch)))
        # A batch is drawn at once: within it one round may end and the next begin.
        assert max(seen.values()) - min(seen.values()) <= 1


def test_draws_pass_a_chi_squared_test_whatever_the_sizes() -> None:
    data = table(a=[2] * 40, b=[2] * 20, c=[2] * 10, d=[2] * 5, e=[2] * 3, none=[2] * 2)
    sampler = CategoryBalancedSampler(categories=2, labels=4, instances=2)
    plan = plan_batches(data.labels, sampler, steps=3000, seed=0, categories=data.categories)
    found = [labels_by_category(data, batch) for batch in plan]
    draws = Counter(name for names in found for name in names)
    assert sum((count - 1000) ** 2 / 1000 for count in draws.values()) < 20.52  # 5 degrees of freedom, 0.001
    pairs = Counter(frozenset(names) for names in found)
    expected = 3000 / len(list(combinations(draws, 2)))
    assert len(pairs) == 15
    assert sum((count - expected) ** 2 / expected for count in pairs.values()) < 36.12  # 14 degrees, 0.001
    labels = Counter(label for names in found for label in names.get("a", ()))
    assert len(labels) == 40
    assert max(labels.values()) - min(labels.values()) <= 1


def test_no_row_comes_twice_while_its_label_has_enough() -> None:
    data = table(a=[1, 2, 3, 4], b=[5, 6], c=[3])
    sampler = CategoryBalancedSampler(categories=2, labels=4, instances=3)
    for batch in plan_batches(data.labels, sampler, steps=60, seed=0, categories=data.categories):
        for label in set(data.labels_of(batch)):
            assert len({row for row in batch if data.labels[row] == label}) == min(3, data.labels.count(label))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.data())
def test_shares_fill_the_rooms_from_below(rooms: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(0, sum(rooms)))
    shares = share(total, rooms)
    assert sum(shares) == total
    assert all(0 <= one <= room for one, room in zip(shares, rooms, strict=True))
    assert all(one >= max(shares) - 1 for one, room in zip(shares, rooms, strict=True) if one < room)


def test_more_categories_than_labels_is_no_recipe() -> None:
    with pytest.raises(ValidationError, match="5 categories do not fit into the 4 labels"):
        CategoryBalancedSampler(categories=5, labels=4)
