"""Which rows make up which batch. Pure functions of (labels, recipe, seed): a resumed run slices the same list.

    plan = plan_batches(labels, recipe.sampler, steps=recipe.steps, seed=recipe.seed, categories=categories)
    mine = shard(plan[step], rank, world)

Everything is dealt like cards (`Deck`): evenness is a guarantee, not a matter of luck. Each kind's guarantees stand in
the module of its name. No torch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from mlcore.config import BalancedSampler, CategoryBalancedSampler, DistinctCategorySampler, Sampler, ShuffleSampler
from mlcore.samplers.balanced import balanced_batches
from mlcore.samplers.category_balanced import category_balanced_batches
from mlcore.samplers.distinct_category import distinct_category_batches
from mlcore.samplers.groups import Batch, Batches, group_categories, group_rows
from mlcore.samplers.shard import shard
from mlcore.samplers.shuffle import shuffle_batches

__all__ = ["Batch", "BatchPlan", "Batches", "plan_batches", "shard"]


@dataclass(frozen=True)
class BatchPlan:
    """What `plan_batches` lists, from `first_step` on: made anew each time it is iterated, and kept nowhere."""

    labels: Sequence[str]
    sampler: Sampler
    steps: int
    seed: int
    categories: Sequence[object] | None = None
    first_step: int = 0

    def __iter__(self) -> Iterator[Batch]:
        rng = np.random.default_rng([self.seed, 1])
        return islice(endless_batches(self.labels, self.sampler, rng, self.categories), self.first_step, self.steps)


def plan_batches(
    labels: Sequence[str],
    sampler: Sampler,
    *,
    steps: int,
    seed: int,
    categories: Sequence[object] | None = None,
) -> Batches:
    """The batches of a whole training: `steps` lists of row numbers into `labels` `(N,)`; a longer plan begins alike.

    categories: `(N,)`, the category of each row; what is no text, or empty, is none. Needed by the kinds that go by
    category. Raises InputError for no rows at all, and for such a kind where no row has a category.
    """
    return list(BatchPlan(labels, sampler, steps, seed, categories))


def endless_batches(
    labels: Sequence[str], sampler: Sampler, rng: np.random.Generator, categories: Sequence[object] | None
) -> Iterator[Batch]:
    rows = group_rows(labels)
    match sampler:
        case CategoryBalancedSampler():
            return category_balanced_batches(rows, group_categories(rows, categories), sampler, rng)
        case DistinctCategorySampler():
            return distinct_category_batches(rows, group_categories(rows, categories), sampler, rng)
        case BalancedSampler():
            return balanced_batches(rows, sampler, rng)
        case ShuffleSampler():
            return shuffle_batches(len(labels), sampler, rng)
