"""What follows a search: each step is defined, with its source, in `mlcore.postprocess`.

As text, for a command line: `kind:setting=value,...`, steps joined by `+`: `dba:k=5+qe+rerank:k1=20,k2=6`.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, PositiveFloat, PositiveInt, TypeAdapter, ValidationError

from mlcore.config.frozen import Frozen
from mlcore.errors import InputError

CANDIDATES = Field(100, description="Nearest neighbours that are scored anew; the others follow behind them")


class GalleryAugmentation(Frozen):
    """Each gallery vector is drawn to its neighbours in the gallery (Arandjelovic, Zisserman 2012)."""

    kind: Literal["dba"] = "dba"
    stage: ClassVar[int] = 0
    k: PositiveInt = Field(5, description="Neighbours that join")
    alpha: float = Field(3.0, ge=0, description="A neighbour weighs its cosine to this power; the vector itself 1")


class QueryExpansion(Frozen):
    """Each query is drawn to its neighbours: alpha query expansion (Radenovic, Tolias, Chum 2018)."""

    kind: Literal["qe"] = "qe"
    stage: ClassVar[int] = 1
    k: PositiveInt = Field(5, description="Neighbours that join")
    alpha: float = Field(3.0, ge=0, description="A neighbour weighs its cosine to this power; the query itself 1")


class Rerank(Frozen):
    """k-reciprocal re-ranking (Zhong et al. 2017). The score: 1 - the mixed distance."""

    kind: Literal["rerank"] = "rerank"
    stage: ClassVar[int] = 2
    k1: PositiveInt = Field(20, description="Neighbours that may be reciprocal")
    k2: PositiveInt = Field(6, description="Encodings that are averaged, the own among them; 1: none")
    weight: float = Field(0.3, ge=0, le=1, description="Of the cosine distance; the rest is Jaccard's")
    candidates: PositiveInt = CANDIDATES


class ZNorm(Frozen):
    """Each gallery row's scores in standard deviations over its cohort."""

    kind: Literal["znorm"] = "znorm"
    stage: ClassVar[int] = 2
    candidates: PositiveInt = CANDIDATES


class SNorm(Frozen):
    """Adaptive symmetric normalisation by the nearest of a cohort (Matejka et al. 2017)."""

    kind: Literal["snorm"] = "snorm"
    stage: ClassVar[int] = 2
    cohort: int = Field(300, ge=2, description="Nearest cohort rows that count")
    candidates: PositiveInt = CANDIDATES


class CSLS(Frozen):
    """Cross-domain similarity local scaling, against hubs (Conneau et al. 2018)."""

    kind: Literal["csls"] = "csls"
    stage: ClassVar[int] = 2
    k: PositiveInt = Field(10, description="Neighbours whose mean similarity is the local scale")
    candidates: PositiveInt = CANDIDATES


class PairRerank(Frozen):
    """The first neighbours, rated by a trained pair head. The score: the head's."""

    kind: Literal["pairs"] = "pairs"
    stage: ClassVar[int] = 3
    weights: str = Field(description="The file of the trained head")
    candidates: PositiveInt = Field(20, description="First neighbours that are rated; the others follow behind them")


class PairHeadConfig(Frozen):
    """A pair head and its training."""

    head: Literal["linear", "concat"] = "linear"
    hidden: PositiveInt = Field(32, description="head=concat: units of its hidden layer")
    candidates: PositiveInt = Field(20, description="Nearest rows of each training row, which it learns to re-rank")
    steps: PositiveInt = Field(300, description="At most: as many are done as help labels held out")
    check_every: PositiveInt = Field(50, description="Steps between looks at labels held out")
    folds: int = Field(3, ge=2, description="Parts of the labels, held out in turn")
    batch_size: PositiveInt = Field(16, description="Lists")
    lr: PositiveFloat = 3e-4
    weight_decay: float = Field(10.0, ge=0, description="Draws the head back to the order of the extractor")
    seed: int = Field(0, ge=0, lt=2**32)


class ConstantThreshold(Frozen):
    """Neighbours with a lower score are dropped."""

    kind: Literal["threshold"] = "threshold"
    stage: ClassVar[int] = 4
    least: float = Field(description="In the unit of the last step that scores; without one, cosine similarity")


class AdaptiveThreshold(Frozen):
    """A query's list ends at its first gap that is wide among its own gaps."""

    kind: Literal["adaptive"] = "adaptive"
    stage: ClassVar[int] = 4
    deviations: float = Field(3.0, ge=0, description="Standard deviations above the mean that make a gap wide")
    top: int = Field(30, ge=2, description="Neighbours whose gaps are looked at")


Postprocess = Annotated[
    GalleryAugmentation
    | QueryExpansion
    | Rerank
    | ZNorm
    | SNorm
    | CSLS
    | PairRerank
    | ConstantThreshold
    | AdaptiveThreshold,
    Field(discriminator="kind"),
]
STEP: TypeAdapter[Postprocess] = TypeAdapter(Postprocess)
STEPS = {step.model_fields["kind"].default: step for step in get_args(get_args(Postprocess)[0])}  # by kind


def parse(text: str) -> tuple[Postprocess, ...]:
    """The steps that a text names; "" names none. Raises InputError, naming every fault.

    >>> parse("rerank:k1=10,k2=3")
    (Rerank(kind='rerank', k1=10, k2=3, weight=0.3, candidates=100),)
    """
    steps, problems = [], []
    for part in filter(None, (part.strip() for part in text.split("+"))):
        kind, _, settings = part.partition(":")
        pairs = [setting.partition("=") for setting in settings.split(",") if setting.strip()]
        bare = [key.strip() for key, equals, _ in pairs if not equals]
        problems += [f"{part}: write {key} as {key}=value." for key in bare]
        tree: dict[str, Any] = {key.strip(): value.strip() for key, equals, value in pairs if equals}
        try:
            steps.append(STEP.validate_python(tree | {"kind": kind.strip()}))
        except ValidationError as error:
            problems += [step_fault(kind.strip(), fault) for fault in error.errors()]
    if problems:
        raise InputError(f"The post-processing {text!r} is not valid.", problems)
    check_order(steps)
    return tuple(steps)


def step_fault(kind: str, fault: Mapping[str, Any]) -> str:
    """One of pydantic's errors of a step in words."""
    if kind not in STEPS:
        return f"There is no step {kind}. Choose one of: {', '.join(map(repr, STEPS))}."
    setting = str(fault["loc"][-1])
    known = ", ".join(name for name in STEPS[kind].model_fields if name != "kind")
    match fault["type"]:
        case "missing":
            return f"{kind}.{setting} is missing. Write {kind}:{setting}=value."
        case "extra_forbidden":
            return f"{kind}.{setting}: There is no such setting. Choose one of: {known}."
        case _:
            return f"{kind}.{setting}: {fault['input']} will not do. {fault['msg'].replace('Input', 'It')}."


def check_order(steps: Sequence[Postprocess]) -> None:
    """Raises InputError unless the steps are of different stages, in their order.

    Stages: the gallery is augmented, queries are expanded, neighbours scored, pairs rated, lists cut. Re-ranking and
    normalisation both begin with cosines: a second one would forget the first, and a step that moves vectors would make
    a new search.
    """
    stages = [step.stage for step in steps]
    if any(one >= next_one for one, next_one in pairwise(stages)):
        order = "dba, then qe, then one of rerank, znorm, snorm, csls, then pairs, then threshold or adaptive"
        raise InputError(f"{' + '.join(step.kind for step in steps)} do not follow each other. The order: {order}.")
