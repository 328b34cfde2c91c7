"""What a training minimises. Each is defined, with its source, in the module of its name in `mlcore.losses`."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from mlcore.config.frozen import Frozen
from mlcore.config.miners import AllMiner, HardMiner, MemoryBank, MultiSimilarityMiner, PairMiner, TripletMiner


class Triplet(Frozen):
    kind: Literal["triplet"] = "triplet"
    margin: PositiveFloat | None = Field(0.2, description="None: the soft margin, softplus of the gap")
    miner: TripletMiner = HardMiner()
    memory: MemoryBank | None = None


class Contrastive(Frozen):
    """Hadsell, Chopra, LeCun 2006, by Euclidean distance on the unit sphere."""

    kind: Literal["contrastive"] = "contrastive"
    positive_margin: float = Field(0, ge=0, description="Positives nearer than this are near enough")
    negative_margin: PositiveFloat = Field(0.5, description="Negatives farther than this are far enough")
    miner: PairMiner = AllMiner()
    memory: MemoryBank | None = None


class NTXent(Frozen):
    """Also InfoNCE: one term per positive pair, its negatives in the denominator (Oord et al. 2018)."""

    kind: Literal["nt_xent"] = "nt_xent"
    temperature: PositiveFloat = 0.07
    miner: PairMiner = AllMiner()
    memory: MemoryBank | None = None


class SupCon(Frozen):
    """Khosla et al. 2020, the sum outside of the logarithm."""

    kind: Literal["sup_con"] = "sup_con"
    temperature: PositiveFloat = 0.1
    miner: PairMiner = AllMiner()
    memory: MemoryBank | None = None


class MultiSimilarity(Frozen):
    """Wang et al. 2019."""

    kind: Literal["multi_similarity"] = "multi_similarity"
    alpha: PositiveFloat = 2.0
    beta: PositiveFloat = 50.0
    base: float = 0.5
    miner: PairMiner = MultiSimilarityMiner()
    memory: MemoryBank | None = None


class Circle(Frozen):
    """Sun et al. 2020."""

    kind: Literal["circle"] = "circle"
    margin: PositiveFloat = Field(0.4, lt=1)
    scale: PositiveFloat = 80.0
    miner: PairMiner = AllMiner()
    memory: MemoryBank | None = None


class Smoothing(Frozen):
    """Label smoothing for losses with a direction per label; part of it may go to labels of the same category."""

    label_smoothing: float = Field(0, ge=0, lt=1, description="Share of the target that the other labels get")
    category_share: float = Field(0, ge=0, le=1, description="How much of that goes to labels of the same category")


class ArcFace(Smoothing):
    kind: Literal["arcface"] = "arcface"
    margin: PositiveFloat = Field(0.3, description="Radians (Deng et al. 2019)")
    scale: PositiveFloat = 30.0


class CosFace(Smoothing):
    kind: Literal["cosface"] = "cosface"
    margin: PositiveFloat = Field(0.35, description="Of the cosine (Wang et al. 2018)")
    scale: PositiveFloat = 30.0


class SubCenterArcFace(Smoothing):
    """Several centres per label, the nearest counts (Deng et al. 2020)."""

    kind: Literal["subcenter_arcface"] = "subcenter_arcface"
    margin: PositiveFloat = 0.3
    scale: PositiveFloat = 30.0
    centres: PositiveInt = 3


class ProxyAnchor(Frozen):
    """Kim et al. 2020."""

    kind: Literal["proxy_anchor"] = "proxy_anchor"
    margin: PositiveFloat = 0.1
    alpha: PositiveFloat = 32.0


class ProxyNCA(Frozen):
    """ProxyNCA++ (Teh et al. 2020)."""

    kind: Literal["proxy_nca"] = "proxy_nca"
    temperature: PositiveFloat = Field(1 / 9, description="Divides squared distances to the proxies")


class SoftTriple(Frozen):
    """Qian et al. 2019."""

    kind: Literal["soft_triple"] = "soft_triple"
    centres: PositiveInt = 5
    scale: PositiveFloat = 20.0
    gamma: PositiveFloat = 0.1
    margin: float = Field(0.01, ge=0)
    tau: float = Field(0.2, ge=0, description="Weight of what draws a label's centres together")


class PrecisionSurrogate(Frozen):
    """A smooth precision@k (Open Metric Learning's idea): the rank of each hit through sigmoids."""

    kind: Literal["precision_surrogate"] = "precision_surrogate"
    k: PositiveInt = 5
    rank_temperature: PositiveFloat = Field(0.1, description="Of the sigmoid over differences of similarity")
    top_temperature: PositiveFloat = Field(1.0, description="Of the sigmoid over differences of rank")
    memory: MemoryBank | None = None


class RecallSurrogate(Frozen):
    """A smooth recall@k, mean over several k (Patel, Tolias, Matas 2022)."""

    kind: Literal["recall_surrogate"] = "recall_surrogate"
    ks: tuple[PositiveInt, ...] = (1, 2, 4, 8)
    rank_temperature: PositiveFloat = 0.01
    top_temperature: PositiveFloat = 1.0
    memory: MemoryBank | None = None


Loss = Annotated[
    Triplet
    | Contrastive
    | NTXent
    | SupCon
    | MultiSimilarity
    | Circle
    | ArcFace
    | CosFace
    | SubCenterArcFace
    | ProxyAnchor
    | ProxyNCA
    | SoftTriple
    | PrecisionSurrogate
    | RecallSurrogate,
    Field(discriminator="kind"),
]
