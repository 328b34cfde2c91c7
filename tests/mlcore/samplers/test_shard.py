"""A batch, dealt to processes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcore.config import BalancedSampler
from mlcore.samplers import plan_batches, shard
from tests.mlcore.samplers.cases import quick, table


@quick
@given(st.lists(st.integers(0, 99), max_size=40), st.integers(1, 9))
def test_all_ranks_together_are_the_batch_and_sizes_are_as_equal_as_can_be(batch: list[int], world: int) -> None:
    shards = [shard(batch, rank, world) for rank in range(world)]
    assert [row for part in shards for row in part] == batch
    sizes = [len(part) for part in shards]
    assert max(sizes) - min(sizes) == (1 if len(batch) % world else 0)


@pytest.mark.parametrize("world", [1, 2, 4, 8])
def test_a_rank_has_whole_labels(world: int) -> None:
    labels = table(a=[5] * 11).labels
    for batch in plan_batches(labels, BalancedSampler(labels=8, instances=3), steps=6, seed=0):
        owners = [{labels[row] for row in shard(batch, rank, world)} for rank in range(world)]
        assert sum(map(len, owners)) == len(set().union(*owners)) == 8


@pytest.mark.parametrize("rank", [-1, 2])
def test_a_rank_outside_of_the_world(rank: int) -> None:
    with pytest.raises(ValueError, match="processes, 0 to 1"):
        shard([1, 2, 3], rank, 2)
