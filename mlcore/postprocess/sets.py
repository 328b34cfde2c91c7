"""Many small weighted sets of gallery rows: the rows of a sparse matrix."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlcore.matches import Ints
from mlcore.retrieval.exact import Floats32
from mlcore.retrieval.metrics import Floats


@dataclass(frozen=True, eq=False)
class Sets:
    """`starts`: `(G + 1,)`; `members` `(P,)` and `weights` `(P,)`: set g has those from starts[g] to starts[g + 1]."""

    starts: Ints
    members: NDArray[np.int32]
    weights: Floats32

    @classmethod
    def of_parts(cls, parts: Sequence[tuple[Ints, Ints, Floats]], size: int) -> "Sets":
        """parts: (sets, members, weights), the sets ascending, in one part and from part to part."""
        nothing = np.zeros(0, dtype=np.int64)
        counts = np.bincount(np.concatenate([nothing, *(rows for rows, _, _ in parts)]), minlength=size)
        return cls(
            np.concatenate([[0], np.cumsum(counts)]),
            np.concatenate([nothing.astype(np.int32), *(members.astype(np.int32) for _, members, _ in parts)]),
            np.concatenate([nothing.astype(np.float32), *(weights.astype(np.float32) for _, _, weights in parts)]),
        )

    def of(self, asked: Ints) -> tuple[Ints, Ints, Floats32]:
        """All members of the `(A,)` sets asked for, one after another: (place in `asked`, member, weight)."""
        start = self.starts[asked]
        counts = self.starts[asked + 1] - start
        place = np.repeat(np.arange(len(asked)), counts)
        at = np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts) + start[place]
        return place, self.members[at].astype(np.int64), self.weights[at]


def merged(keys: Ints, weights: Floats) -> tuple[Ints, Floats]:
    """The keys, each once and ascending, and the sums of their weights, added in their order."""
    unique, places = np.unique(keys, return_inverse=True)
    sums = np.bincount(places, weights, len(unique)).astype(np.float64)
    return unique, sums
