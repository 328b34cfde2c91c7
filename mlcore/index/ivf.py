"""The inverted file: vectors lie in lists about centres, and only the lists nearest to a query are read."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from mlcore.index.base import SPARE, Allowed, FaissIndex, flat_view, native, widened
from mlcore.matches import Ints
from mlcore.retrieval.exact import Floats32, exact_similarity, sort_lists

POINTS_PER_LIST = 39  # at least, for k-means to find meaningful centres (faiss's own measure)


class IVFIndex(FaissIndex):
    """Approximate. Settings: `lists`, by default 4 sqrt(N); `probes`, how many are read, by default an eighth of them.

    A filter that leaves too few in those lists makes that query read more of them.
    """

    kind: ClassVar[str] = "ivf"
    settings_known: ClassVar[tuple[str, ...]] = ("lists", "probes")

    def __init__(self, index: Any, ids: Ints, space: str, settings: Mapping[str, int]) -> None:
        super().__init__(index, ids, space, settings)
        self.centres = flat_view(native.downcast_index(index.quantizer))  # (lists, D)

    @classmethod
    def make(cls, vectors: Floats32, settings: Mapping[str, int]) -> tuple[Any, dict[str, int]]:
        count, dimension = vectors.shape
        most = max(1, count // POINTS_PER_LIST)
        lists = min(settings.get("lists", round(4 * math.sqrt(count))), most) or 1
        index = native.IndexIVFFlat(native.IndexFlatIP(dimension), dimension, lists, native.METRIC_INNER_PRODUCT)
        index.cp.spherical = True
        index.set_direct_map_type(native.DirectMap.Array)  # to find the vector of a position
        if count:
            index.train(vectors)
            index.add(vectors)
        return index, {"lists": lists, "probes": min(settings.get("probes", max(8, lists // 8)), lists)}

    @classmethod
    def is_kind(cls, index: Any) -> bool:
        return isinstance(index, native.IndexIVFFlat)

    def vectors_at(self, positions: Ints) -> tuple[torch.Tensor, Ints]:
        needed, places = np.unique(positions, return_inverse=True)
        vectors = np.empty((len(needed), self.dimension), dtype=np.float32)
        self.index.reconstruct_batch_c(len(needed), native.swig_ptr(needed), native.swig_ptr(vectors))
        return torch.from_numpy(vectors), places.astype(np.int64)

    def candidates(self, queries: Floats32, k: int, allowed: Allowed) -> tuple[Ints, Ints]:
        asked = min(len(allowed.positions), k + SPARE)

        def search(waiting: Ints, probes: int) -> Ints:
            return self.probed(queries[waiting], asked, probes, allowed.selector)

        return widened(search, len(queries), k, self.settings["probes"], len(self.centres), allowed)

    def probed(self, queries: Floats32, k: int, probes: int, selector: Any) -> Ints:
        """`(Q, k)` positions from the nearest lists, -1 past the end.

        Which lists are nearest is found by exact similarity, for a query to read the same ones alone and in a batch.
        """
        lists = len(self.centres)
        rows, columns = np.repeat(np.arange(len(queries)), lists), np.tile(np.arange(lists), len(queries))
        scores = exact_similarity(torch.from_numpy(queries), self.centres, rows, columns)
        nearest, similarity = sort_lists(rows, columns, scores, len(queries), probes)
        filtered = {} if selector is None else {"sel": selector}
        params = native.SearchParametersIVF(nprobe=probes, **filtered)
        found, scores = np.empty((len(queries), k), dtype=np.int64), np.empty((len(queries), k), dtype=np.float32)
        arrays = [native.swig_ptr(array) for array in (nearest, similarity, scores, found)]
        # faiss's own wrapper of this takes no filter.
        self.index.search_preassigned_c(len(queries), native.swig_ptr(queries), k, *arrays, False, params)
        return found
