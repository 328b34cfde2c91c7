"""Search indexes: vectors of one space with their sample ids, searched by cosine, kept in immutable folders.

    flat    exact; reads every vector
    ivf     reads the lists nearest to the query (inverted file): fast, with little memory beside the vectors
    hnsw    walks a graph of neighbours: fastest, with about 300 bytes more for a vector

All kinds give exact scores of what they find, best first, equals by id; only `flat` is sure to find the best.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlcore.errors import InputError
from mlcore.index.base import FaissIndex, Found, Index
from mlcore.index.files import IDS, MANIFEST, VECTORS, read_files, read_manifest
from mlcore.index.flat import FlatIndex
from mlcore.index.hnsw import HNSWIndex
from mlcore.index.ivf import IVFIndex
from mlcore.matches import Ints

__all__ = [
    "IDS",
    "KINDS",
    "MANIFEST",
    "VECTORS",
    "FlatIndex",
    "Found",
    "HNSWIndex",
    "IVFIndex",
    "Index",
    "build_index",
    "index_from_files",
    "load_index",
]

KINDS: dict[str, type[FaissIndex]] = {"flat": FlatIndex, "ivf": IVFIndex, "hnsw": HNSWIndex}


def build_index(
    kind: str, vectors: NDArray[np.floating], ids: Iterable[int] | Ints, space: str, **settings: int
) -> Index:
    """An index of the kind `flat`, `ivf` or `hnsw` of `(N, D)` vectors of unit length, with their `(N,)` sample ids.

    settings: see the class of the kind. Raises InputError for another kind or setting, and as `FaissIndex.build` does.
    """
    return kind_of(kind).build(vectors, ids, space, **settings)


def index_from_files(files: Mapping[str, bytes], *, space: str | None = None) -> Index:
    """The index in these files, of whatever kind they hold; see `FaissIndex.from_files`."""
    return kind_of(read_manifest(files).kind).from_files(files, space=space)


def load_index(folder: Path, *, space: str | None = None) -> Index:
    """Reads what `save` wrote; see `FaissIndex.from_files`."""
    return index_from_files(read_files(folder), space=space)


def kind_of(name: str) -> type[FaissIndex]:
    if name not in KINDS:
        raise InputError(f"There is no index of the kind {name}. Choose one of {', '.join(KINDS)}.")
    return KINDS[name]
