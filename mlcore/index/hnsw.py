"""The graph: each vector knows some near ones, and a search walks from neighbour to neighbour."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from mlcore.index.base import SPARE, Allowed, FaissIndex, flat_view, native, raw_search, widened
from mlcore.matches import Ints
from mlcore.retrieval.exact import Floats32

DEFAULTS = {"neighbours": 32, "build_effort": 128, "search_effort": 128}


class HNSWIndex(FaissIndex):
    """Approximate (Malkov and Yashunin 2018). Settings: `neighbours` of a vector in the graph (M); `build_effort` and
    `search_effort` (efConstruction, efSearch), how many vectors are held in view: the more, the better what is found.

    A filter that leaves too few in view makes that query hold more.
    """

    kind: ClassVar[str] = "hnsw"
    settings_known: ClassVar[tuple[str, ...]] = tuple(DEFAULTS)

    def __init__(self, index: Any, ids: Ints, space: str, settings: Mapping[str, int]) -> None:
        super().__init__(index, ids, space, settings)
        self.vectors = flat_view(native.downcast_index(index.storage))

    @classmethod
    def make(cls, vectors: Floats32, settings: Mapping[str, int]) -> tuple[Any, dict[str, int]]:
        chosen = {**DEFAULTS, **settings}
        index = native.IndexHNSWFlat(vectors.shape[1], chosen["neighbours"], native.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = chosen["build_effort"]
        index.add(vectors)
        return index, chosen

    @classmethod
    def is_kind(cls, index: Any) -> bool:
        return isinstance(index, native.IndexHNSWFlat)

    def vectors_at(self, positions: Ints) -> tuple[torch.Tensor, Ints]:
        return self.vectors, positions

    def candidates(self, queries: Floats32, k: int, allowed: Allowed) -> tuple[Ints, Ints]:
        asked = min(len(allowed.positions), k + SPARE)
        filtered = {} if allowed.selector is None else {"sel": allowed.selector}

        def search(waiting: Ints, effort: int) -> Ints:
            params = native.SearchParametersHNSW(efSearch=effort, **filtered)
            return raw_search(self.index, queries[waiting], asked, params)[1]

        effort = max(self.settings["search_effort"], asked)
        return widened(search, len(queries), k, effort, len(self.ids), allowed)
