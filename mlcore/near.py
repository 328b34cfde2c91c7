"""Near-duplicates: one photo resized, re-encoded, brightened or cropped a little, where that flatters the figures.

Two steps, for neither is enough by itself (docs/results.md has the figures). The embeddings of `colour_gradient` pick
candidates; among them are other photos of the same shelf, and other characters of one pen. Small grey thumbnails, one
of them cropped to fit the other, tell these from copies.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from mlcore.matches import Ints, Rows, codes, manifest_rows
from mlcore.retrieval import Searcher

Floats32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

CANDIDATE = 0.98  # cosine by colour_gradient; the lowest of 5,400 copies was 0.983
AGREEMENT = 0.95
NEAREST = 20  # candidates of each row
THUMBNAIL = 16  # pixels of a side
CUTS = (0.0, 0.025, 0.05)  # shares of a side that a crop may have taken from each end
FAINT = 1.0  # of 255 levels of grey: what varies less shows nothing to compare
PAIRS_AT_ONCE = 64


class Pairs(NamedTuple):
    """`first` < `second`: `(P,)` places of rows in the manifest. `similarity`: `(P,)`, falling; equals by place."""

    first: Ints
    second: Ints
    similarity: Floats32

    def take(self, index: Ints | Mask) -> "Pairs":
        return Pairs(self.first[index], self.second[index], self.similarity[index])


NO_PAIRS = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))


def near_pairs(embeddings: NDArray[np.floating], manifest: pd.DataFrame, threshold: float = CANDIDATE) -> Pairs:
    """Candidates: rows whose cosine is `threshold` or more, across train and validation, or across query and gallery.

    embeddings: `(N, D)` of unit length, of the manifest's rows. Left out is what is told or mended elsewhere: files of
    the same bytes across the splits; in the validation split the same bytes and box, and one sequence. A sequence in
    both splits mends nothing. Of each validation row the `NEAREST` most alike of either kind are looked at, so that
    work and memory are those of a search.
    """
    rows = manifest_rows(manifest)
    files = replace(rows, photos=codes(manifest["sha256"]), sequences=np.full(len(rows), -1))
    train, validation = ((manifest["split"] == split).to_numpy(bool) for split in ("train", "validation"))
    queries, gallery = (validation & manifest[flag].to_numpy(bool) for flag in ("is_query", "is_gallery"))
    found = [
        *alike(embeddings, files, validation, train, threshold),
        *alike(embeddings, rows, queries, gallery, threshold),
    ]
    pairs = Pairs(*(np.concatenate(column) for column in zip(NO_PAIRS, *found, strict=True)))
    _, once = np.unique(np.stack(pairs[:2]), axis=1, return_index=True)  # both may be query and gallery
    return ranked(pairs.take(once))


def alike(
    embeddings: NDArray[np.floating], rows: Rows, queries: Mask, gallery: Mask, threshold: float
) -> Iterator[Pairs]:
    """Pairs of a query and a gallery row, `(N,)` masks, that are as alike as this, in pieces and in any order."""
    asked, held = np.flatnonzero(queries), np.flatnonzero(gallery)
    searcher = Searcher(embeddings[held], rows.take(held))
    for places, lists in searcher.lists(embeddings[asked], rows.take(asked), NEAREST):
        place, rank = np.nonzero(lists.similarity >= threshold)
        one, other = asked[places[place]], held[lists.index[place, rank]]
        yield Pairs(np.minimum(one, other), np.maximum(one, other), lists.similarity[place, rank])


def ranked(pairs: Pairs) -> Pairs:
    return pairs.take(np.lexsort((pairs.second, pairs.first, -pairs.similarity)))


def confirmed(
    pairs: Pairs,
    squares: Callable[[Sequence[int]], Tensor],
    threshold: float = AGREEMENT,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Pairs:
    """Those pairs whose photos agree, with their agreement as similarity.

    squares: places of rows -> `(B, S, S, 3)` uint8, as `mlcore.data.Photos` reads them.
    """
    order = np.lexsort((pairs.first, pairs.second))  # a photo of many pairs is read in few batches
    similarity = np.empty(len(order), dtype=np.float32)
    for start in range(0, len(order), PAIRS_AT_ONCE):
        part = order[start : start + PAIRS_AT_ONCE]
        sides = (squares(side[part].tolist()).numpy() for side in pairs[:2])
        similarity[part] = agreement(*sides)
        on_progress(start + len(part), len(order))
    return ranked(pairs._replace(similarity=similarity).take(similarity >= threshold))


def agreement(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> Floats32:
    """`(P,)`, at most 1: the correlation of photos, `(P, S, S, 3)` each, blind to brightness and contrast.

    The best of one photo whole with any window of the other: a copy may be cropped by up to 5 % at each end.
    """
    a, b = thumbnails(left), thumbnails(right)
    best: Floats32 = np.maximum((a @ b[:, 0, :, None]).max((1, 2)), (b @ a[:, 0, :, None]).max((1, 2)))
    return best


def thumbnails(squares: NDArray[np.uint8]) -> Floats32:
    """`(P, S, S, 3)` -> `(P, 81, 256)`: grey thumbnails of mean 0 and length 1, of every window; first the whole."""
    grey = squares.mean(3, dtype=np.float32)
    spans = np.concatenate([span(grey.shape[1], low, high) for low in CUTS for high in CUTS])  # (9 * 16, S)
    count = len(CUTS) ** 2
    windows = (spans @ grey @ spans.T).reshape(-1, count, THUMBNAIL, count, THUMBNAIL)
    windows = windows.swapaxes(2, 3).reshape(len(grey), count * count, THUMBNAIL * THUMBNAIL)
    windows -= windows.mean(2, keepdims=True)
    lengths = np.linalg.norm(windows, axis=2, keepdims=True)
    unit: Floats32 = windows / np.maximum(lengths, FAINT * THUMBNAIL)
    return unit


def span(side: int, low: float, high: float) -> Floats32:
    """`(16, side)`: how much each pixel of a line counts in each of a thumbnail, its ends cut by these shares."""
    edges = np.linspace(low * side, (1 - high) * side, THUMBNAIL + 1)
    pixels = np.arange(side)
    covered = np.minimum(pixels + 1, edges[1:, None]) - np.maximum(pixels, edges[:-1, None])
    weights = covered.clip(min=0)
    shares: Floats32 = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return shares
