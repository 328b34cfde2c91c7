"""Which samples make up a batch. What each guarantees is proven in `mlcore.samplers`."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from mlcore.config.frozen import Frozen


class BalancedSampler(Frozen):
    """Every batch holds `labels` x `instances` samples; every label is seen in every epoch.

    Those that go by category are balanced too, so `isinstance` holds for them: ask for them first.
    """

    kind: Literal["balanced"] = "balanced"
    labels: int = Field(16, ge=2)
    instances: int = Field(4, ge=2)

    @property
    def batch_size(self) -> int:
        return self.labels * self.instances


class CategoryBalancedSampler(BalancedSampler):
    """Every batch holds `categories` categories, drawn evenly, and `labels` labels of them, `instances` of each."""

    kind: Literal["category_balanced"] = "category_balanced"  # type: ignore[assignment]
    categories: PositiveInt = Field(4, description="No more than labels")

    @model_validator(mode="after")
    def each_category_has_a_label(self) -> Self:
        if self.categories > self.labels:
            raise ValueError(f"{self.categories} categories do not fit into the {self.labels} labels of a batch")
        return self


class DistinctCategorySampler(BalancedSampler):
    """Every batch is of one category alone, so that negatives are hard; categories come in turn.

    A category with fewer than `labels` labels makes smaller batches.
    """

    kind: Literal["distinct_category"] = "distinct_category"  # type: ignore[assignment]


class ShuffleSampler(Frozen):
    """Every sample in random order, and again only when all have come."""

    kind: Literal["shuffle"] = "shuffle"
    batch_size: int = Field(64, ge=2)


Sampler = Annotated[
    BalancedSampler | CategoryBalancedSampler | DistinctCategorySampler | ShuffleSampler, Field(discriminator="kind")
]
