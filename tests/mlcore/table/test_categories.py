"""The split guard on batches that go by category."""

import pytest

from mlcore.config import BalancedSampler, CategoryBalancedSampler, DistinctCategorySampler, Recipe, Sampler
from mlcore.samplers import plan_batches
from mlcore.table import Problem, preflight
from tests.mlcore.table.test_guard import VALIDATION, manifest


def problems_of(categories: list[str | None], sampler: Sampler) -> list[Problem]:
    """Of one training label of three samples for each of these categories; those of the `category` column."""
    rows = [(f"label-{number}", "train") for number in range(len(categories)) for _ in range(3)]
    column = [category for category in categories for _ in range(3)]
    frame = manifest([*rows, *VALIDATION], category=[*column, *[None] * len(VALIDATION)])
    return [problem for problem in preflight(frame, Recipe(sampler=sampler)) if problem.column == "category"]


BY_CATEGORY = [
    CategoryBalancedSampler(labels=4, instances=2, categories=2),
    DistinctCategorySampler(labels=4, instances=2),
]


@pytest.mark.parametrize("sampler", BY_CATEGORY)
@pytest.mark.parametrize("nothing", [None, ""])
def test_no_categories_at_all(sampler: Sampler, nothing: str | None) -> None:
    (problem,) = problems_of([nothing] * 9, sampler)
    assert problem.severity == "error"
    assert "no training sample has one" in problem.message
    assert "balanced sampler" in problem.remedy


@pytest.mark.parametrize("sampler", [*BY_CATEGORY, BalancedSampler(labels=4, instances=2)])
def test_enough_categories_and_labels(sampler: Sampler) -> None:
    assert problems_of(["a"] * 5 + ["b"] * 4, sampler) == []


def test_the_balanced_sampler_asks_for_none() -> None:
    assert problems_of([None] * 9, BalancedSampler(labels=4, instances=2)) == []


def test_fewer_categories_than_a_batch_is_to_hold() -> None:
    sampler = CategoryBalancedSampler(labels=4, instances=2, categories=3)
    (problem,) = problems_of(["a"] * 5 + ["b"] * 4, sampler)
    assert problem.severity == "error"
    assert "3 categories into a batch; the train split has 2." in problem.message
    assert "to 2 or fewer" in problem.remedy
    (problem,) = problems_of(["a"] * 5 + [None] * 4, sampler)
    assert "has 2, the labels without one counted as one" in problem.message
    assert problems_of(["a"] * 5 + ["b"] * 3 + [None], sampler) == []


def test_no_category_that_fills_a_batch() -> None:
    sampler = DistinctCategorySampler(labels=6, instances=2)
    categories: list[str | None] = ["a"] * 5 + ["b"] * 4
    (problem,) = problems_of(categories, sampler)
    assert problem.severity == "error"
    assert "6 labels of one category into a batch; the largest category has 5" in problem.message
    assert problems_of(categories, DistinctCategorySampler(labels=5, instances=2)) == []


def test_too_few_labels_are_told_once() -> None:
    assert problems_of(["a"] * 5, DistinctCategorySampler(labels=6, instances=2)) == []


@pytest.mark.parametrize("sampler", BY_CATEGORY)
def test_what_passes_can_be_planned(sampler: Sampler) -> None:
    categories = ["a"] * 5 + ["b"] * 4 + ["c"] + [None]
    assert problems_of(list(categories), sampler) == []
    plan = plan_batches([str(n) for n in range(11)], sampler, steps=9, seed=0, categories=categories)
    assert max(map(len, plan)) == sampler.batch_size
