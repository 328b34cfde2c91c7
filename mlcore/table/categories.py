"""Whether the train rows can fill batches that go by category. Part of the split guard. No torch."""

import pandas as pd

from mlcore.config import CategoryBalancedSampler, DistinctCategorySampler, Recipe
from mlcore.samplers.distinct_category import batch_groups
from mlcore.samplers.groups import category_of, group_categories, group_rows
from mlcore.table.problem import Problem


def check_categories(train: pd.DataFrame, recipe: Recipe) -> list[Problem]:
    """Faults of a sampler that goes by category; none for the others, which ask for no categories."""
    sampler = recipe.sampler
    if train.empty or not isinstance(sampler, CategoryBalancedSampler | DistinctCategorySampler):
        return []
    cells = train["category"].tolist()
    if not any(category_of(cell) for cell in cells):
        text = "The recipe forms batches by category; no training sample has one."
        return [Problem(0, "category", text, "Name the categories of the labels, or choose the balanced sampler.")]
    rows = group_rows(train["label"].tolist())
    categories = group_categories(rows, cells)
    if isinstance(sampler, CategoryBalancedSampler):
        if len(categories) >= sampler.categories:
            return []
        text = f"The recipe puts {sampler.categories} categories into a batch; the train split has {len(categories)}"
        text += ", the labels without one counted as one." if None in categories else "."
        remedy = f"Set categories in a batch to {len(categories)} or fewer, or name more categories."
        return [Problem(0, "category", text, remedy)]
    largest = max(map(len, batch_groups(categories)))
    if largest >= min(sampler.labels, len(rows)):  # too few labels altogether is another fault
        return []
    text = f"The recipe puts {sampler.labels} labels of one category into a batch; the largest category has {largest}."
    remedy = f"Set labels in a batch to {largest} or fewer, or choose another sampler."
    return [Problem(0, "category", text, remedy)]
