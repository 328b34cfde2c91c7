"""Which pairs or triplets of a batch, or of a memory bank, a loss looks at."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from mlcore.config.frozen import Frozen


class AllMiner(Frozen):
    """Every one that there is."""

    kind: Literal["all"] = "all"


class HardMiner(Frozen):
    """The farthest positive and the nearest negative of each anchor (Hermans et al. 2017)."""

    kind: Literal["hard"] = "hard"


class SemiHardMiner(Frozen):
    """For each anchor and positive the nearest negative that is farther than the positive (Schroff et al. 2015)."""

    kind: Literal["semi_hard"] = "semi_hard"


class NHardMiner(Frozen):
    """The `positives` farthest positives of each anchor, each with the `negatives` nearest negatives."""

    kind: Literal["n_hard"] = "n_hard"
    positives: PositiveInt = 2
    negatives: PositiveInt = 2


class HardClusterMiner(Frozen):
    """Labels as clusters: the mean of a label, its farthest member, the nearest mean of another label."""

    kind: Literal["hard_cluster"] = "hard_cluster"


class DistanceWeightedMiner(Frozen):
    """Negatives drawn evenly over distance, not crowded where the sphere is (Wu et al. 2017)."""

    kind: Literal["distance_weighted"] = "distance_weighted"
    cutoff: PositiveFloat = Field(0.5, description="Distances below count as this one")
    farthest: PositiveFloat = Field(1.4, description="Negatives beyond are not drawn")


class MultiSimilarityMiner(Frozen):
    """Negatives nearer than the farthest positive, positives farther than the nearest negative, within `epsilon`
    of cosine (Wang et al. 2019)."""

    kind: Literal["multi_similarity"] = "multi_similarity"
    epsilon: float = 0.1


TripletMiner = Annotated[
    AllMiner | HardMiner | SemiHardMiner | NHardMiner | HardClusterMiner | DistanceWeightedMiner | MultiSimilarityMiner,
    Field(discriminator="kind"),
]
PairMiner = Annotated[
    AllMiner | HardMiner | NHardMiner | DistanceWeightedMiner | MultiSimilarityMiner, Field(discriminator="kind")
]


class MemoryBank(Frozen):
    """Embeddings of past batches that anchors are also compared with (He et al. 2020; Wang et al. 2020)."""

    size: PositiveInt = Field(1024, description="Embeddings kept; the oldest make room")
    start_step: NonNegativeInt = Field(0, description="Steps before it is used: early embeddings change too fast")
    max_age: PositiveInt = Field(100, description="Steps after which an embedding is stale and no longer joins")
