"""What every search index does, whatever it is made of: one interface, and what those on FAISS share."""

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from mlcore.errors import InputError, SpaceMismatch
from mlcore.index.files import (
    IDS,
    MANIFEST,
    VECTORS,
    IndexManifest,
    checksum,
    read_files,
    read_manifest,
    verify_files,
    write_files,
)
from mlcore.matches import Ints
from mlcore.retrieval.exact import Floats32, as_float32, exact_similarity, sort_lists

SPARE = 16  # candidates beyond k, for float32 may have the order of near-equals wrong
NORM_TOLERANCE = 1e-2  # half precision and a reduced dimension are within it
FEW_ALLOWED = 4096  # vectors a filter lets through that are compared one by one, whatever the kind
PAIRS_AT_ONCE = 4_000_000
native: Any = faiss  # its stubs lack names, and take other arguments than it does


class Found(NamedTuple):
    """Lists, best first. `ids`: `(Q, k)` int64, -1 past a list's end; `scores`: `(Q, k)` float32 cosine, there -inf."""

    ids: Ints
    scores: Floats32


class Allowed(NamedTuple):
    """What a search may find: `positions` `(M,)`, ascending, and faiss's word for them, None for all."""

    positions: Ints
    selector: Any


class Index(Protocol):
    """`(N, D)` unit vectors of one space with their sample ids. Immutable once built."""

    kind: ClassVar[str]
    ids: Ints
    space: str
    dimension: int

    def __len__(self) -> int: ...

    def search(
        self,
        vectors: NDArray[np.floating],
        k: int,
        allowed_ids: Iterable[int] | Ints | None = None,
        *,
        space: str | None = None,
    ) -> Found:
        """The `k` most similar vectors of each query, `(Q, D)` or one `(D,)`; equal scores by id.

        allowed_ids: search among these alone; as many as there are, up to k, are found. space: what made the queries;
        give it wherever it is known. A query's result does not depend on those beside it. Raises SpaceMismatch for
        vectors of another space or dimension.
        """
        ...

    def to_files(self) -> dict[str, bytes]:
        """Name -> bytes of `index.faiss`, `ids.npy` and `manifest.json`, for any storage."""
        ...

    def save(self, folder: Path) -> dict[str, str]:
        """Writes the files into a new folder, whole or not at all. Returns name -> SHA-256.

        Raises FileExistsError where the folder is there already: an index never changes.
        """
        ...


class FaissIndex(ABC):
    """An `Index` on FAISS. Each kind says how it is made, and how it finds candidates."""

    kind: ClassVar[str]
    settings_known: ClassVar[tuple[str, ...]] = ()

    def __init__(self, index: Any, ids: Ints, space: str, settings: Mapping[str, int]) -> None:
        """For `build` and `from_files`: a faiss index whose row i has the i-th of the ascending ids."""
        self.index = index
        self.ids = ids
        self.space = space
        self.settings = dict(settings)
        self.dimension = int(index.d)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    @abstractmethod
    def make(cls, vectors: Floats32, settings: Mapping[str, int]) -> tuple[Any, dict[str, int]]:
        """A faiss index of `(N, D)` vectors, and the settings it was made by, with what was left open filled in."""

    @classmethod
    @abstractmethod
    def is_kind(cls, index: Any) -> bool:
        """Whether a faiss index is of this kind."""

    @abstractmethod
    def candidates(self, queries: Floats32, k: int, allowed: Allowed) -> tuple[Ints, Ints]:
        """Pairs (query, position), ascending by query: k or more of each `(Q, D)` query, of more than k allowed."""

    @abstractmethod
    def vectors_at(self, positions: Ints) -> tuple[torch.Tensor, Ints]:
        """Vectors `(M, D)` float32, and for each of the positions `(P,)` its place among them."""

    @classmethod
    def build(cls, vectors: NDArray[np.floating], ids: Iterable[int] | Ints, space: str, **settings: int) -> Self:
        """Of `(N, D)` vectors of unit length (or zero), of `space`, with their `(N,)` sample ids.

        Raises InputError for ids that do not go with the vectors or stand twice, for values that are no unit vectors,
        and for settings that the kind does not have.
        """
        values = as_float32(vectors)
        numbers = id_array(ids)
        if numbers.shape != (len(values),):
            raise InputError(f"There are {len(values)} vectors for {numbers.size} ids.")
        if len(np.unique(numbers)) != len(numbers):
            raise InputError("A sample id stands twice. Give each vector its own.")
        if (numbers < 0).any():
            raise InputError("Sample ids are 0 or more.")
        norms = np.linalg.norm(values, axis=1)
        if ((np.abs(norms - 1) > NORM_TOLERANCE) & (norms != 0)).any():
            raise InputError("Vectors must be of unit length. Divide each by its L2 norm.")
        for name, value in settings.items():
            if name not in cls.settings_known or value < 1:
                known = ", ".join(cls.settings_known) or "none"
                raise InputError(f"{name} = {value} is no setting of the kind {cls.kind}: {known}, each 1 or more.")
        order = np.argsort(numbers)  # positions in id order: the smaller of equals comes first
        index, made_by = cls.make(np.ascontiguousarray(values[order]), settings)
        return cls(index, numbers[order], space, made_by)

    def search(
        self,
        vectors: NDArray[np.floating],
        k: int,
        allowed_ids: Iterable[int] | Ints | None = None,
        *,
        space: str | None = None,
    ) -> Found:
        """See `Index.search`."""
        queries = as_float32(np.atleast_2d(vectors))
        if space is not None and space != self.space:
            raise SpaceMismatch(f"The query is of space {space}, the index of {self.space}. Embed it with its model.")
        if queries.shape[1] != self.dimension:
            raise SpaceMismatch(f"The query has {queries.shape[1]} dimensions, the index {self.dimension}.")
        if k < 1:
            raise ValueError(f"k is {k}; at least one neighbour must be asked for.")
        allowed = self.allowed(allowed_ids)
        available = len(allowed.positions)
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        depth = min(k, available)
        one_by_one = available <= (depth if allowed.selector is None else max(depth, FEW_ALLOWED))
        step = max(1, PAIRS_AT_ONCE // max(1, available if one_by_one else depth + SPARE))
        for start in range(0, len(queries) if depth else 0, step):
            part = queries[start : start + step]
            if one_by_one:
                rows, columns = np.repeat(np.arange(len(part)), available), np.tile(allowed.positions, len(part))
            else:
                rows, columns = self.candidates(part, depth, allowed)
            stored, places = self.vectors_at(columns)
            exact = exact_similarity(torch.from_numpy(part), stored, rows, places)
            positions, values = sort_lists(rows, columns, exact, len(part), depth)
            ids[start : start + step, :depth] = self.ids[positions]
            scores[start : start + step, :depth] = values
        return Found(ids, scores)

    def allowed(self, ids: Iterable[int] | Ints | None) -> Allowed:
        """Of these sample ids those that the index has; None: all."""
        if ids is None:
            return Allowed(np.arange(len(self.ids)), None)
        mask = np.isin(self.ids, id_array(ids))
        return Allowed(np.flatnonzero(mask), native.IDSelectorBitmap(np.packbits(mask, bitorder="little")))

    def to_files(self) -> dict[str, bytes]:
        """See `Index.to_files`."""
        ids = io.BytesIO()
        np.save(ids, self.ids, allow_pickle=False)
        files = {VECTORS: faiss.serialize_index(self.index).tobytes(), IDS: ids.getvalue()}
        manifest = IndexManifest(
            kind=self.kind,
            space=self.space,
            dimension=self.dimension,
            count=len(self.ids),
            settings=self.settings,
            sha256={name: checksum(data) for name, data in files.items()},
        )
        return {**files, MANIFEST: manifest.encode()}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, space: str | None = None) -> Self:
        """The index in these files, whose checksums are verified first.

        space: what the caller expects; another raises SpaceMismatch. Raises InputError for a missing or altered file,
        and for an index of another kind.
        """
        manifest = read_manifest(files)
        verify_files(files, manifest)
        if space is not None and space != manifest.space:
            raise SpaceMismatch(f"The index is of space {manifest.space}, not {space}. Build one with this model.")
        index = faiss.deserialize_index(np.frombuffer(files[VECTORS], dtype=np.uint8))
        ids = np.load(io.BytesIO(files[IDS]), allow_pickle=False)
        shape = (manifest.count, manifest.dimension)
        if not cls.is_kind(index) or (index.ntotal, index.d) != shape or ids.shape != shape[:1]:
            raise InputError(f"The index does not hold what {MANIFEST} says, or is not {cls.kind}. Build it again.")
        return cls(index, ids.astype(np.int64), manifest.space, manifest.settings)

    def save(self, folder: Path) -> dict[str, str]:
        """See `Index.save`."""
        files = self.to_files()
        write_files(folder, files)
        return {name: checksum(data) for name, data in files.items()}

    @classmethod
    def load(cls, folder: Path, *, space: str | None = None) -> Self:
        """Reads what `save` wrote; see `from_files`."""
        return cls.from_files(read_files(folder), space=space)


def id_array(ids: Iterable[int] | Ints) -> Ints:
    return np.asarray(ids if isinstance(ids, np.ndarray) else list(ids), dtype=np.int64)


def widened(
    search: Callable[[Ints, int], Ints], queries: int, k: int, effort: int, most: int, allowed: Allowed
) -> tuple[Ints, Ints]:
    """Pairs (query, position), ascending by query, with at least k of each query: with more effort where need be.

    search: (queries `(W,)`, effort) -> their positions `(W, K)`, -1 past the end. Those for which even `most` effort
    finds too few get all that is allowed. Each query is searched as it would be alone.
    """
    rows, columns = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    waiting = np.arange(queries)
    while len(waiting):
        found = search(waiting, min(effort, most))
        enough = (found >= 0).sum(axis=1) >= k
        place, column = np.nonzero((found >= 0) & enough[:, None])
        rows.append(waiting[place])
        columns.append(found[place, column])
        waiting = waiting[~enough]
        if effort >= most:
            rows.append(np.repeat(waiting, len(allowed.positions)))
            columns.append(np.tile(allowed.positions, len(waiting)))
            break
        effort *= 4
    order = np.argsort(np.concatenate(rows), kind="stable")
    return np.concatenate(rows)[order], np.concatenate(columns)[order]


def raw_search(index: Any, queries: Floats32, k: int, params: Any) -> tuple[Floats32, Ints]:
    """Scores and positions `(Q, k)`, as faiss's search gives them; params: of the search, None for none.

    By faiss's own method: an import of `faiss.contrib.torch_utils` by whatever library replaces the usual one for the
    whole process, and that takes no filter.
    """
    scores, positions = np.empty((len(queries), k), dtype=np.float32), np.empty((len(queries), k), dtype=np.int64)
    values = np.ascontiguousarray(queries)
    pointers = native.swig_ptr(values), k, native.swig_ptr(scores), native.swig_ptr(positions)
    index.search_c(len(queries), *pointers, params)
    return scores, positions


def flat_view(index: Any) -> torch.Tensor:
    """`(N, D)` float32: the vectors of a faiss flat index where faiss keeps them; as long-lived as the index."""
    count, dimension = int(index.ntotal), int(index.d)
    values = faiss.rev_swig_ptr(index.get_xb(), count * dimension) if count else np.zeros(0, dtype=np.float32)
    return torch.from_numpy(values.reshape(count, dimension))
