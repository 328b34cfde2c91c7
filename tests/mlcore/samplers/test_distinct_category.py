"""The guarantees of batches of one category alone."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mlcore.config import DistinctCategorySampler
from mlcore.samplers import plan_batches
from mlcore.samplers.distinct_category import batch_groups
from tests.mlcore.samplers.cases import Table, quick, table, tables

samplers = st.builds(DistinctCategorySampler, labels=st.integers(2, 5), instances=st.integers(2, 3))


def groups_of(table: Table) -> list[set[str]]:
    """By the rule: categories of two labels or more; the rest together; a rest of one with the smallest."""
    members = table.members()
    groups = [labels for name, labels in members.items() if name is not None and len(labels) > 1]
    rest = set(table.labels) - {label for labels in groups for label in labels}
    if len(rest) > 1 or not groups:
        return [*groups, rest] if rest else groups
    sizes = [len(labels) for labels in groups]
    if rest:
        groups[sizes.index(min(sizes))] |= rest
    return groups


@quick
@given(tables, samplers, st.integers(0, 99))
def test_every_batch_is_of_one_group_and_groups_come_in_turn(
    table: Table, sampler: DistinctCategorySampler, seed: int
) -> None:
    groups = groups_of(table)
    plan = plan_batches(table.labels, sampler, steps=4 * len(groups), seed=seed, categories=table.categories)
    turns = []
    for batch in plan:
        labels = Counter(table.labels_of(batch))
        (group,) = (number for number, members in enumerate(groups) if set(labels) <= members)
        assert list(labels.values()) == [sampler.instances] * min(sampler.labels, len(groups[group]))
        assert len(labels) >= min(2, len(set(table.labels)))
        turns.append(group)
    for first in range(0, len(turns), len(groups)):
        assert sorted(turns[first : first + len(groups)]) == list(range(len(groups)))


@quick
@given(tables, samplers, st.integers(0, 99), st.integers(1, 3))
def test_every_label_is_seen_within_the_bound(
    table: Table, sampler: DistinctCategorySampler, seed: int, times: int
) -> None:
    groups = groups_of(table)
    bounds = [len(groups) * -(-times * len(group) // min(sampler.labels, len(group))) for group in groups]
    plan = plan_batches(table.labels, sampler, steps=max(bounds), seed=seed, categories=table.categories)
    for group, bound in zip(groups, bounds, strict=True):
        seen = Counter(label for batch in plan[:bound] for label in set(table.labels_of(batch)))
        assert all(seen[label] >= times for label in group)


def test_who_is_with_whom() -> None:
    assert batch_groups({"a": [0, 1], "b": [2, 3, 4], None: [5, 6]}) == [[0, 1], [2, 3, 4], [5, 6]]
    assert batch_groups({"a": [0, 1], "b": [2], "c": [3]}) == [[0, 1], [2, 3]]
    assert batch_groups({"a": [0, 1], "b": [2, 3, 4], None: [5]}) == [[0, 1, 5], [2, 3, 4]]
    assert batch_groups({"a": [0]}) == [[0]]


def test_no_row_comes_twice_while_its_label_has_enough() -> None:
    data = table(a=[1, 2, 3, 4], b=[5, 6, 2])
    for batch in plan_batches(
        data.labels, DistinctCategorySampler(labels=2, instances=3), steps=60, seed=0, categories=data.categories
    ):
        for label in set(data.labels_of(batch)):
            assert len({row for row in batch if data.labels[row] == label}) == min(3, data.labels.count(label))
