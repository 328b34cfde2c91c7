"""The exact index: every query is compared with every vector."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from mlcore.index.base import NORM_TOLERANCE, SPARE, Allowed, FaissIndex, flat_view, native, raw_search
from mlcore.matches import Ints
from mlcore.retrieval.exact import Floats32
from mlcore.retrieval.rough import UNIT


class FlatIndex(FaissIndex):
    """Exact: its result is that of sorting all similarities. It has no settings."""

    kind: ClassVar[str] = "flat"

    def __init__(self, index: Any, ids: Ints, space: str, settings: Mapping[str, int]) -> None:
        super().__init__(index, ids, space, settings)
        self.vectors = flat_view(index)

    @classmethod
    def make(cls, vectors: Floats32, settings: Mapping[str, int]) -> tuple[Any, dict[str, int]]:
        index = native.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        return index, {}

    @classmethod
    def is_kind(cls, index: Any) -> bool:
        return isinstance(index, native.IndexFlatIP)

    def vectors_at(self, positions: Ints) -> tuple[torch.Tensor, Ints]:
        return self.vectors, positions

    def candidates(self, queries: Floats32, k: int, allowed: Allowed) -> tuple[Ints, Ints]:
        # Twice the rounding error of a float32 dot product: the k-th's, and that of what was not retrieved.
        norms = (1 + NORM_TOLERANCE) * float(np.linalg.norm(queries, axis=1).max())
        margin = 2 * self.dimension * UNIT[torch.float32] * norms
        params = None if allowed.selector is None else native.SearchParameters(sel=allowed.selector)
        available = len(allowed.positions)
        asked = min(available, k + SPARE)
        while True:
            scores, positions = raw_search(self.index, queries, asked, params)
            # Enough once what was not retrieved is further below the k-th than rounding could hide.
            if asked == available or bool((scores[:, -1] < scores[:, k - 1] - margin).all()):
                return np.repeat(np.arange(len(queries)), asked), np.sort(positions, axis=1).ravel()
            asked = min(available, 4 * asked)
