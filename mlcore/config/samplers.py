"""Which samples make up a batch. What each guarantees is proven in `mlcore.samplers`."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from mlcore.config.frozen import Frozen


class BalancedSampler(Frozen):
    """Every batch holds `labels` x `instances` samples; every label is seen once per epoch."""

    kind: Literal["balanced"] = "balanced"
    labels: int = Field(16, ge=2)
    instances: int = Field(4, ge=2)

    @property
    def batch_size(self) -> int:
        return self.labels * self.instances


class CategoryBalancedSampler(BalancedSampler):
    """Every batch holds `categories` categories, drawn evenly, and `labels` labels of them, `instances` of each."""

    kind: Literal["category_balanced"] = "category_balanced"  # type: ignore[assignment]
    categories: PositiveInt = 4


class DistinctCategorySampler(BalancedSampler):
    """Every batch is of one category alone, so that negatives are hard; categories come in turn."""

    kind: Literal["distinct_category"] = "distinct_category"  # type: ignore[assignment]


class ShuffleSampler(Frozen):
    """Every sample once per epoch, in random order."""

    kind: Literal["shuffle"] = "shuffle"
    batch_size: int = Field(64, ge=2)


Sampler = Annotated[
    BalancedSampler | CategoryBalancedSampler | DistinctCategorySampler | ShuffleSampler, Field(discriminator="kind")
]
