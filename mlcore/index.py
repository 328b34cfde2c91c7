"""A search index: vectors of one space, exact inner products through faiss, in an immutable folder."""

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from mlcore.errors import InputError, SpaceMismatch
from mlcore.retrieval.knn import ROUNDING, Floats32, as_float32, exact_similarity, sort_lists

Ints = NDArray[np.int64]
VECTORS, IDS, MANIFEST = "index.faiss", "ids.npy", "manifest.json"
SPARE = 16  # candidates beyond k at the first try
NORM_TOLERANCE = 1e-2  # half precision and a reduced dimension are within it


class Found(NamedTuple):
    """Lists, best first. `ids`: `(Q, k)` int64, -1 past a list's end; `scores`: `(Q, k)` float32 cosine, there -inf."""

    ids: Ints
    scores: Floats32


class FlatIndex:
    """`(N, D)` unit vectors of one space with their sample ids. Exact, and immutable once built."""

    def __init__(self, index: Any, ids: Ints, space: str) -> None:
        """For `build` and `load`: a faiss IndexFlatIP whose row i has the i-th of the ascending ids."""
        self.index = index
        self.ids = ids
        self.space = space
        self.dimension = int(index.d)
        # A view of the vectors where faiss keeps them, for the second, exact look at the candidates.
        flat = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d) if len(ids) else np.zeros(0, np.float32)
        self.vectors = torch.from_numpy(flat.reshape(len(ids), self.dimension))

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def build(cls, vectors: NDArray[np.floating], ids: Iterable[int] | Ints, space: str) -> "FlatIndex":
        """Of `(N, D)` vectors of unit length (or zero), of `space`, with their `(N,)` sample ids.

        Raises InputError for ids that do not go with the vectors or stand twice, and for values that are no unit
        vectors.
        """
        values = as_float32(vectors)
        numbers = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids), dtype=np.int64)
        if numbers.shape != (len(values),):
            raise InputError(f"There are {len(values)} vectors for {numbers.size} ids.")
        if len(np.unique(numbers)) != len(numbers):
            raise InputError("A sample id stands twice. Give each vector its own.")
        if (numbers < 0).any():
            raise InputError("Sample ids are 0 or more.")
        norms = np.linalg.norm(values, axis=1)
        if ((np.abs(norms - 1) > NORM_TOLERANCE) & (norms != 0)).any():
            raise InputError("Vectors must be of unit length. Divide each by its L2 norm.")
        order = np.argsort(numbers)  # positions in id order: the smaller of equals comes first
        index = faiss.IndexFlatIP(values.shape[1])
        index.add(np.ascontiguousarray(values[order]))
        return cls(index, numbers[order], space)

    def search(
        self,
        vectors: NDArray[np.floating],
        k: int,
        allowed_ids: Iterable[int] | Ints | None = None,
        *,
        space: str | None = None,
    ) -> Found:
        """The `k` most similar vectors of each query, `(Q, D)` or one `(D,)`; equal scores by id.

        allowed_ids: search among these alone. space: what made the queries; give it wherever it is known. A query's
        result does not depend on those beside it. Raises SpaceMismatch for vectors of another space or dimension.
        """
        queries = as_float32(np.atleast_2d(vectors))
        if space is not None and space != self.space:
            raise SpaceMismatch(f"The query is of space {space}, the index of {self.space}. Embed it with its model.")
        if queries.shape[1] != self.dimension:
            raise SpaceMismatch(f"The query has {queries.shape[1]} dimensions, the index {self.dimension}.")
        if k < 1:
            raise ValueError(f"k is {k}; at least one neighbour must be asked for.")
        selector, available = self.selector(allowed_ids)
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        depth = min(k, available)
        if depth and len(queries):
            positions, similarity = self.ranked(queries, depth, available, selector)
            ids[:, :depth], scores[:, :depth] = self.ids[positions], similarity
        return Found(ids, scores)

    def selector(self, allowed_ids: Iterable[int] | Ints | None) -> tuple[Any, int]:
        """faiss search parameters (None: all) and how many vectors they let through. Unknown ids let none."""
        if allowed_ids is None:
            return None, len(self.ids)
        wanted = np.asarray(allowed_ids if isinstance(allowed_ids, np.ndarray) else list(allowed_ids), dtype=np.int64)
        allowed = np.isin(self.ids, wanted)
        chosen: Any = faiss.IDSelectorBitmap  # both take other arguments than faiss's stubs say
        parameters: Any = faiss.SearchParameters
        return parameters(sel=chosen(np.packbits(allowed, bitorder="little"))), int(allowed.sum())

    def ranked(self, queries: Floats32, k: int, available: int, selector: Any) -> tuple[Ints, Floats32]:
        """`(Q, k)` positions and exact similarities; `k` at most the `available`."""
        norms = 1 + NORM_TOLERANCE
        margin = 2 * self.dimension * ROUNDING * norms * float(np.linalg.norm(queries, axis=1).max())
        asked = min(available, k + SPARE)
        while True:
            scores, positions = self.index.search(queries, asked, params=selector)
            # Enough once what was not retrieved is further below the k-th than rounding could hide.
            if asked == available or bool((scores[:, -1] < scores[:, k - 1] - margin).all()):
                break
            asked = min(available, 4 * asked)
        rows = np.repeat(np.arange(len(queries)), asked)
        columns = np.sort(positions, axis=1).ravel()
        exact = exact_similarity(torch.from_numpy(queries), self.vectors, rows, columns)
        return sort_lists(rows, columns, exact, len(queries), k)

    def to_files(self) -> dict[str, bytes]:
        """Name -> bytes of `index.faiss`, `ids.npy` and `manifest.json`, for any storage."""
        ids = io.BytesIO()
        np.save(ids, self.ids, allow_pickle=False)
        files = {VECTORS: faiss.serialize_index(self.index).tobytes(), IDS: ids.getvalue()}
        manifest = {
            "kind": "flat",
            "metric": "cosine",
            "space": self.space,
            "dimension": self.dimension,
            "count": len(self.ids),
            "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        }
        return {**files, MANIFEST: json.dumps(manifest, indent=2).encode()}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, space: str | None = None) -> "FlatIndex":
        """The index in these files, whose checksums are verified first.

        space: what the caller expects; another raises SpaceMismatch. Raises InputError for a missing or altered file.
        """
        missing = [name for name in (VECTORS, IDS, MANIFEST) if name not in files]
        if missing:
            raise InputError(f"The index lacks {', '.join(missing)}. Build it again.")
        try:
            manifest = json.loads(files[MANIFEST])
            checksums, own_space = dict(manifest["sha256"]), str(manifest["space"])
            shape = int(manifest["count"]), int(manifest["dimension"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{MANIFEST} is damaged ({error}). Build the index again.") from None
        for name in (VECTORS, IDS):
            if hashlib.sha256(files[name]).hexdigest() != checksums.get(name):
                raise InputError(f"{name} is not the file that {MANIFEST} names. Build the index again.")
        if space is not None and space != own_space:
            raise SpaceMismatch(f"The index is of space {own_space}, not {space}. Build one with this model.")
        index = faiss.deserialize_index(np.frombuffer(files[VECTORS], dtype=np.uint8))
        ids = np.load(io.BytesIO(files[IDS]), allow_pickle=False)
        if not isinstance(index, faiss.IndexFlatIP) or (index.ntotal, index.d) != shape or ids.shape != shape[:1]:
            raise InputError(f"The index does not hold what {MANIFEST} says. Build it again.")
        return cls(index, ids.astype(np.int64), own_space)

    def save(self, folder: Path) -> dict[str, str]:
        """Writes the files into a new folder, whole or not at all. Returns name -> SHA-256.

        Raises FileExistsError where the folder is there already: an index never changes.
        """
        if folder.exists():
            raise FileExistsError(f"{folder} is there already. An index is never overwritten.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        files = self.to_files()
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            for name, data in files.items():
                with (partial / name).open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            partial.chmod(0o755)
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}

    @classmethod
    def load(cls, folder: Path, *, space: str | None = None) -> "FlatIndex":
        """Reads what `save` wrote; see `from_files`."""
        names = [name for name in (VECTORS, IDS, MANIFEST) if (folder / name).is_file()]
        return cls.from_files({name: (folder / name).read_bytes() for name in names}, space=space)
