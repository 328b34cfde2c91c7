"""Candidates for the nearest neighbours of every sample among all the others, each product computed once for both.

The rough scores of a gallery with itself are a symmetric matrix, so half of it will do: a tile of it holds scores of
its rows' samples and of its columns'. Which of them are worth keeping is guessed before, from products with a part of
the gallery, and the guess is checked after: see `MutualSearch`.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mlcore.matches import Ints
from mlcore.retrieval.rough import FEW_CANDIDATES, UNIT, Rounded, fast_maxima, margin

Keys = NDArray[np.uint64]
Excluded = Callable[[slice], tuple[Ints, Ints]]
BITS = 10
BAND = 2**BITS  # samples; the tile of two bands, 2 MB of bfloat16, stays in a processor's cache
SHARE = 16  # one in so many samples is asked for the guess
BLOCK = 16
SPREAD = 2.2  # standard deviations by which a guess is lowered; with fewer more of them fail
TOO_MANY = 8  # a tile of which one in so many scores is kept shows vectors too close for rough products
PLACE, POSITION, SCORE = np.uint64(48), np.uint64(16), np.uint64(0xFFFF)


class Band(NamedTuple):
    """Consecutive samples. `found`: the positions of those whose candidates are complete, `failed`: of the others.

    rows: `(P,)` places in `found`; columns: `(P,)` positions of candidates; these pairs are ascending.
    """

    found: Ints
    rows: Ints
    columns: Ints
    failed: Ints


class MutualSearch:
    """Bands of consecutive samples with candidates for the k nearest of each.

    For each sample a score is guessed that a few more than k others reach: one that as many of a random part of the
    gallery reach as make k in the whole, and some, less the margin (`rough.margin`). All pairs that reach the guess are
    kept. Let L be the k-th largest rough score among them: if L less its margin is not below the guess, every neighbour
    was kept. If it is, or if there are not k, the guess failed, and the sample needs another search.
    """

    def __init__(self, vectors: Rounded, k: int, excluded: Excluded) -> None:
        """vectors: `(N, D)`; excluded(part): pairs (place in the part, position), ascending, that are no neighbours."""
        self.vectors, self.k, self.excluded = vectors, k, excluded
        self.count = len(vectors.norms)
        spare = -self.count % BAND  # whole bands: what is added reaches no guess
        self.values = functional.pad(vectors.values, (0, 0, 0, spare))
        self.guess = functional.pad(self.guesses(), (0, spare), value=torch.inf)
        self.all_positive = bool(self.guess.min() > 0)
        self.pending: list[list[Keys]] = [[] for _ in range(0, self.count, BAND)]
        self.held = 0  # pairs in `pending`
        self.scores = torch.empty(BAND, BAND, dtype=self.values.dtype)
        self.mask = np.empty((BAND, BAND), dtype=bool)

    def guesses(self) -> Tensor:
        """`(N,)` bfloat16."""
        generator = torch.Generator().manual_seed(0)
        size = self.count // SHARE // BLOCK * BLOCK
        sample = self.vectors.values[torch.randperm(self.count, generator=generator)[:size]]
        expected = self.k * size / self.count
        rank = min(int(expected + SPREAD * expected**0.5) + 1, size // BLOCK)
        parts = []
        for start in range(0, self.count, BAND):
            band = self.vectors[start : start + BAND]
            scores = band.values @ sample.T  # (C, D) @ (D, S)
            maxima = fast_maxima(scores.view(len(scores), -1, BLOCK)).float()
            lowest = torch.topk(maxima, rank, dim=1).values[:, -1]
            parts.append(lowest - margin(band, self.vectors, lowest, score_unit=UNIT[torch.bfloat16]))
        return torch.cat(parts).bfloat16()

    def bands(self) -> Iterator[Band | None]:
        """All bands in order. None, and nothing after it: the vectors are too close for this; search in another way."""
        failures = 0
        for number in range(len(self.pending)):
            if not self.keep_pairs(number):
                yield None
                return
            band = self.checked(number)
            yield band
            failures += len(band.failed)
            if failures > (number + 1) * BAND // 4:
                yield None
                return

    def keep_pairs(self, number: int) -> bool:
        """Keeps the pairs of a band with itself and with those after it, for both. False where they are too many."""
        own = slice(number * BAND, (number + 1) * BAND)
        for other in range(number, len(self.pending)):
            theirs = slice(other * BAND, (other + 1) * BAND)
            torch.mm(self.values[own], self.values[theirs].T, out=self.scores)  # (C, D) @ (D, C)
            places = self.reached(self.guess[own, None])
            self.keep(number, places >> BITS, (places & BAND - 1) + theirs.start, places)
            most = len(places)
            if other > number:
                places = self.reached(self.guess[None, theirs])
                self.keep(other, places & BAND - 1, (places >> BITS) + own.start, places)
                most = max(most, len(places))
            if most > BAND * BAND // TOO_MANY or self.held > self.count * (4 * self.k + FEW_CANDIDATES) // 2:
                return False
        return True

    def reached(self, guess: Tensor) -> Ints:
        """Places in the flattened tile whose score reaches the guess, `(C, 1)` or `(1, C)`."""
        # Positive bfloat16 are ordered as their bits are, read as whole numbers, and those are compared faster.
        if self.scores.dtype == torch.bfloat16 and self.all_positive:
            bits = self.scores.view(torch.int16).numpy(), guess.view(torch.int16).numpy()
            np.greater_equal(*bits, out=self.mask)
        else:
            torch.ge(self.scores, guess, out=torch.from_numpy(self.mask))
        return np.flatnonzero(self.mask)

    def keep(self, number: int, own: Ints, other: Ints, places: Ints) -> None:
        """Keeps pairs of a tile for a band: the places in it, the positions of the others, the places in the tile."""
        if self.scores.dtype == torch.bfloat16:
            scores = self.scores.view(torch.int16).numpy().reshape(-1)[places]
        else:
            scores = torch.from_numpy(self.scores.numpy().reshape(-1)[places]).bfloat16().view(torch.int16).numpy()
        # One number per pair: 16 bits of the place in the band, 32 of the other's position, 16 of the rough score.
        self.pending[number].append((own << 48 | other << 16).view(np.uint64) | scores.view(np.uint16))
        self.held += len(places)

    def checked(self, number: int) -> Band:
        """The finished band: which guesses were right, and for those the candidates within the margin."""
        part = slice(number * BAND, min((number + 1) * BAND, self.count))
        keys = np.concatenate(self.pending[number])
        # For each sample they are in order already: the bands came in order. Sorting by samples alone is faster.
        order = torch.argsort(torch.from_numpy((keys >> PLACE).astype(np.int32)), stable=True)
        keys = keys[order.numpy()]
        self.pending[number] = []
        self.held -= len(keys)
        keys = without(keys, self.excluded(part))
        rows = (keys >> PLACE).astype(np.int64)
        columns = (keys >> POSITION & np.uint64(2**32 - 1)).astype(np.int64)
        scores = ((keys & SCORE).astype(np.uint32) << np.uint32(16)).view(np.float32)
        size = part.stop - part.start
        lengths = np.bincount(rows, minlength=size)
        usable = (lengths >= self.k) & (lengths <= 4 * self.k + 4 * FEW_CANDIDATES)
        lowest = kth_largest(rows, scores, lengths, usable, self.k)
        room = margin(self.vectors[part], self.vectors, torch.from_numpy(lowest), score_unit=UNIT[torch.bfloat16])
        bound = torch.from_numpy(lowest) - room
        right = usable & (bound >= self.guess[part]).numpy()
        kept = right[rows] & (scores >= bound.bfloat16().float().numpy()[rows])
        place = np.cumsum(right) - 1  # in `found`
        found = np.flatnonzero(right) + part.start
        return Band(found, place[rows[kept]], columns[kept], np.flatnonzero(~right) + part.start)


def without(keys: Keys, excluded: tuple[Ints, Ints]) -> Keys:
    """The keys but those of excluded pairs; both ascending."""
    pairs = (excluded[0] << 32 | excluded[1]).view(np.uint64)
    places = np.searchsorted(keys, pairs << POSITION)
    inside = places < len(keys)
    hit = places[inside][keys[places[inside]] >> POSITION == pairs[inside]]
    return np.delete(keys, hit)


def kth_largest(
    rows: Ints, scores: NDArray[np.float32], lengths: Ints, usable: NDArray[np.bool_], k: int
) -> NDArray[np.float32]:
    """`(C,)`: the k-th largest score of each usable row, 0 for the others. rows: `(P,)`, ascending."""
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    table = np.full((len(lengths), max(k, int(lengths[usable].max(initial=0)))), -np.inf, dtype=np.float32)
    chosen = usable[rows]
    table[rows[chosen], rank[chosen]] = scores[chosen]
    lowest = torch.topk(torch.from_numpy(table), k, dim=1).values[:, -1].numpy()
    return np.where(usable, lowest, np.float32(0))
