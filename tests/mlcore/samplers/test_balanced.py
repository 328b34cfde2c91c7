"""The guarantees of labels x instances."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcore.config import BalancedSampler
from mlcore.samplers import plan_batches
from tests.mlcore.samplers.cases import Table, quick, table, tables

samplers = st.builds(BalancedSampler, labels=st.integers(2, 8), instances=st.integers(2, 4))


@quick
@given(tables, samplers, st.integers(0, 99))
def test_every_epoch_has_every_label_in_full_batches(table: Table, sampler: BalancedSampler, seed: int) -> None:
    labels = set(table.labels)
    size = min(sampler.labels, len(labels))
    epoch = -(-len(labels) // size)
    plan = plan_batches(table.labels, sampler, steps=3 * epoch, seed=seed)
    for batch in plan:
        assert list(Counter(table.labels_of(batch)).values()) == [sampler.instances] * size
        for at in range(0, len(batch), sampler.instances):  # the rows of a label are beside each other
            assert len(set(table.labels_of(batch[at : at + sampler.instances]))) == 1
    for first in range(0, 3 * epoch, epoch):
        seen = Counter(label for batch in plan[first : first + epoch] for label in set(table.labels_of(batch)))
        assert set(seen) == labels
        assert sum(seen.values()) - len(labels) < size  # only what fills the last batch is repeated


@quick
@given(tables, samplers, st.integers(0, 99))
def test_no_row_comes_twice_while_its_label_has_enough(table: Table, sampler: BalancedSampler, seed: int) -> None:
    for batch in plan_batches(table.labels, sampler, steps=12, seed=seed):
        for label in set(table.labels_of(batch)):
            rows = Counter(row for row in batch if table.labels[row] == label)
            assert len(rows) == min(sampler.instances, table.labels.count(label))
            assert max(rows.values()) - min(rows.values()) <= 1


@pytest.mark.parametrize("samples", [6, 7])
def test_all_rows_of_a_label_come_round_before_one_comes_again(samples: int) -> None:
    labels = table(a=[samples, samples]).labels
    plan = plan_batches(labels, BalancedSampler(labels=2, instances=3), steps=4 * samples, seed=0)
    seen = Counter(dict.fromkeys(range(len(labels)), 0))
    for batch in plan:
        seen.update(batch)
        assert max(seen.values()) - min(seen.values()) <= 1
    assert set(seen.values()) == {12}


def test_fewer_labels_than_a_batch_holds() -> None:
    plan = plan_batches(table(a=[3, 3]).labels, BalancedSampler(labels=16, instances=2), steps=2, seed=0)
    assert [len(batch) for batch in plan] == [4, 4]
