"""The one similarity that rankings, thresholds and reports go by: a dot product in float64, rounded once to float32.

It depends on the two vectors alone: not on the batch, the chunk, the device, or where in the gallery a vector stands.
So equal vectors tie exactly, and one query alone gets what it gets inside a batch.
"""

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlcore.errors import InputError
from mlcore.matches import Ints

Floats32 = NDArray[np.float32]
PRECISE_BYTES = 256 * 2**20  # of float64 vectors in memory

with warnings.catch_warnings():  # torch says once that its sparse tensors are in beta; better here than in a log
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor([0, 0], [], torch.zeros(0), size=(1, 1), check_invariants=False)


def as_float32(vectors: NDArray[np.floating]) -> Floats32:
    """`(N, D)` float32, without a copy where it is so already. Raises InputError for NaN, infinity, another shape."""
    if vectors.ndim != 2:
        raise InputError(f"Embeddings have the shape (samples, dimension), not {vectors.shape}.")
    result: Floats32 = np.ascontiguousarray(vectors, dtype=np.float32)
    # A float64 sum of float32 is finite exactly where all its terms are, and needs no second array.
    with np.errstate(invalid="ignore"):
        total = result.sum(dtype=np.float64)
    if not np.isfinite(total):
        bad = int((~np.isfinite(result).all(axis=1)).sum())
        raise InputError(f"{bad} of {len(result)} embeddings hold NaN or infinity. The model is broken: train it anew.")
    return result


def exact_similarity(queries: Tensor, gallery: Tensor, rows: Ints, columns: Ints) -> Floats32:
    """`(P,)` float32: dot products of `queries[rows]` and `gallery[columns]`, computed in float64 and rounded once.

    queries: `(Q, D)`, gallery: `(G, D)`, float32, or float64 to spare their conversion. Work and memory follow the
    pairs, not the gallery, unless it is float64.
    """
    result = np.empty(len(rows), dtype=np.float32)
    # In the order of the gallery its vectors are read one after another, each once, for all queries that need it.
    order = torch.argsort(torch.from_numpy(columns), stable=True).numpy()
    columns, rows, precise = columns[order], rows[order], queries.double()
    products = sparse_products if gallery.device.type == "cpu" else gathered_products
    step = max(1, len(rows) if gallery.dtype == torch.float64 else PRECISE_BYTES // (8 * max(1, gallery.shape[1])))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        vectors, places = gallery, columns[part]
        if gallery.dtype != torch.float64:
            needed, places = np.unique(places, return_inverse=True)
            vectors = gallery.index_select(0, torch.from_numpy(needed).to(gallery.device)).double()
        result[order[part]] = products(vectors, precise, places, rows[part]).float().cpu().numpy()
    return result


def sparse_products(left: Tensor, right: Tensor, rows: Ints, columns: Ints) -> Tensor:
    """`(P,)` float64: dot products of `left[rows]` and `right[columns]`, both float64 on the CPU; rows ascending.

    One product per entry of a sparse pattern, without a copy of the vectors: many times faster than gathering them.
    """
    starts = torch.from_numpy(np.searchsorted(rows, np.arange(len(left) + 1)))
    size, zeros = (len(left), len(right)), torch.zeros(len(rows), dtype=torch.float64)
    pattern = torch.sparse_csr_tensor(starts, torch.from_numpy(columns), zeros, size=size, check_invariants=False)
    found: Tensor = torch.sparse.sampled_addmm(pattern, left.contiguous(), right.T, beta=0.0).values()
    return found


def gathered_products(left: Tensor, right: Tensor, rows: Ints, columns: Ints) -> Tensor:
    """`sparse_products` on any device, in pieces that fit into memory."""
    step = max(1, PRECISE_BYTES // (16 * max(1, left.shape[1])))
    pieces = [torch.zeros(0, dtype=torch.float64, device=left.device)]
    for start in range(0, len(rows), step):
        a, b = (torch.from_numpy(places[start : start + step]).to(left.device) for places in (rows, columns))
        pieces.append(torch.linalg.vecdot(left.index_select(0, a), right.index_select(0, b)))
    return torch.cat(pieces)


def sort_lists(rows: Ints, columns: Ints, scores: Floats32, count: int, k: int) -> tuple[Ints, Floats32]:
    """Candidates, ascending by row -> `(count, k)` columns and scores, best first, equals by column.

    A list that ends early holds -1 and -inf. Columns are below 2**32. Memory follows the longest list times `count`.
    """
    lengths = np.bincount(rows, minlength=count)
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    # One whole number per candidate, so that a sort of numbers, many times faster than one by two keys, sorts them all:
    # above, the bits of the score in an order that falls as the score rises; below, the column.
    bits = (scores + np.float32(0)).view(np.uint32)  # adding 0 makes one zero of -0 and 0
    falling = np.where(bits >> 31, bits, ~bits & np.uint32(0x7FFFFFFF))
    keys = np.full((count, max(k, int(lengths.max(initial=0)))), np.uint64(2**64 - 1))
    keys[rows, rank] = falling.astype(np.uint64) << np.uint64(32) | columns.astype(np.uint64)
    keys.sort(axis=1)
    keys = keys[:, :k]
    ends = np.arange(k) >= lengths[:, None]
    falling = (keys >> np.uint64(32)).astype(np.uint32)
    values = np.where(falling >> 31, falling, ~falling & np.uint32(0x7FFFFFFF)).view(np.float32)
    positions = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return np.where(ends, -1, positions), np.where(ends, np.float32(-np.inf), values)
