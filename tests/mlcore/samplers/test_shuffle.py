"""The guarantees of plain shuffling."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mlcore.config import ShuffleSampler
from mlcore.samplers import plan_batches
from tests.mlcore.samplers.cases import quick


@quick
@given(st.integers(1, 40), st.integers(2, 16), st.integers(0, 99))
def test_batches_are_distinct_and_all_rows_come_before_one_comes_again(count: int, batch_size: int, seed: int) -> None:
    size = min(batch_size, count)
    seen = Counter(dict.fromkeys(range(count), 0))
    plan = plan_batches(["a"] * count, ShuffleSampler(batch_size=batch_size), steps=3 * -(-count // size), seed=seed)
    for step, batch in enumerate(plan, start=1):
        assert len(batch) == len(set(batch)) == size
        seen.update(batch)
        assert max(seen.values()) - min(seen.values()) <= 1
        assert min(seen.values()) == step * size // count
