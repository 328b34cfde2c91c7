"""What plans of every kind have in common."""

import subprocess
import sys
from collections import Counter

import pytest

from mlcore.config import BalancedSampler, CategoryBalancedSampler, DistinctCategorySampler, Sampler, ShuffleSampler
from mlcore.errors import InputError
from mlcore.samplers import BatchPlan, plan_batches
from mlcore.samplers.groups import category_of, group_categories, group_rows
from tests.mlcore.samplers.cases import table

BY_CATEGORY: list[Sampler] = [
    CategoryBalancedSampler(labels=4, instances=2, categories=2),
    DistinctCategorySampler(labels=3, instances=2),
]
KINDS: list[Sampler] = [BalancedSampler(labels=4, instances=2), *BY_CATEGORY, ShuffleSampler(batch_size=8)]
kinds = pytest.mark.parametrize("sampler", KINDS, ids=lambda sampler: sampler.kind)
DATA = table(a=[5] * 4, b=[5] * 3, c=[2, 2], none=[3, 3])


@kinds
def test_a_plan_is_made_anew_each_time_and_kept_nowhere(sampler: Sampler) -> None:
    listed = plan_batches(DATA.labels, sampler, steps=12, seed=3, categories=DATA.categories)
    later = BatchPlan(DATA.labels, sampler, 12, 3, DATA.categories, first_step=5)
    assert list(later) == list(later) == listed[5:]
    endless = iter(BatchPlan(DATA.labels, sampler, 10**12, 3, DATA.categories))
    assert [next(endless) for _ in range(12)] == listed


@kinds
def test_a_longer_plan_begins_like_a_shorter_one(sampler: Sampler) -> None:
    def plan(steps: int, seed: int) -> list[list[int]]:
        return plan_batches(DATA.labels, sampler, steps=steps, seed=seed, categories=DATA.categories)

    assert plan(30, 3)[:7] == plan(7, 3)
    assert len(plan(7, 3)) == 7
    assert plan(30, 3) != plan(30, 4)


@kinds
def test_no_batch_is_larger_than_the_recipe_says(sampler: Sampler) -> None:
    plan = plan_batches(DATA.labels, sampler, steps=30, seed=0, categories=DATA.categories)
    assert max(map(len, plan)) == sampler.batch_size == (6 if sampler.kind == "distinct_category" else 8)
    assert all(type(row) is int for batch in plan for row in batch)


@kinds
def test_one_label_of_one_sample(sampler: Sampler) -> None:
    plan = plan_batches(["a"], sampler, steps=2, seed=0, categories=["x"])
    assert all(set(batch) == {0} for batch in plan)


@kinds
def test_no_rows_at_all(sampler: Sampler) -> None:
    with pytest.raises(InputError, match="no training samples"):
        plan_batches([], sampler, steps=1, seed=0, categories=[])


@pytest.mark.parametrize("sampler", BY_CATEGORY, ids=lambda sampler: sampler.kind)
@pytest.mark.parametrize("categories", [None, [None, None], ["", ""], [float("nan"), ""]])
def test_no_categories_at_all(sampler: Sampler, categories: list[object] | None) -> None:
    with pytest.raises(InputError, match="choose the balanced sampler"):
        plan_batches(["a", "b"], sampler, steps=1, seed=0, categories=categories)


def test_the_category_of_a_label_is_the_first_that_it_has() -> None:
    rows = group_rows(["p", "q", "p", "q", "r"])
    assert rows == [[0, 2], [1, 3], [4]]
    assert group_categories(rows, [float("nan"), "x", "y", "z", ""]) == {"y": [0], "x": [1], None: [2]}


def test_a_category_is_text_that_is_not_empty() -> None:
    assert [category_of(cell) for cell in ("a", "", None, float("nan"), 3)] == ["a", None, None, None, None]


def test_a_category_may_be_named_none_or_nan() -> None:
    rows = group_rows(["p", "q", "r"])
    assert Counter(map(len, group_categories(rows, ["None", "nan", None]).values())) == {1: 3}


def test_plans_need_no_torch() -> None:
    code = "import sys, mlcore.samplers; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
