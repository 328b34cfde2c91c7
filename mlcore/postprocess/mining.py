"""Training of a pair head on the hard pairs that a frozen extractor finds among the training rows.

Of each row with a label: the `positives` least similar rows of its label, and the `negatives` most similar of other
labels. Never the row itself, its copies, its sequence; rows without a label are left out.

Such pairs hold few positives that are near, and a head that fits them too well ranks near ones low: judge a head on
labels held out of its training before it is used. More `positives` make that better, up to all of a label.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from mlcore.config.postprocess import PairHeadConfig
from mlcore.errors import InputError
from mlcore.matches import Gallery, Ints, Rows
from mlcore.postprocess.pairs import PairHead
from mlcore.retrieval.exact import Floats32, as_float32
from mlcore.retrieval.knn import nearest


@dataclass(frozen=True, eq=False)
class HardPairs:
    """`(P, 2)` positions each: pairs of one label, and pairs of two."""

    positives: Ints
    negatives: Ints


def mine_pairs(vectors: NDArray[np.floating], rows: Rows, *, positives: int, negatives: int) -> HardPairs:
    """The hard pairs of `(N, D)` embeddings of unit length. Raises InputError where a kind of pair is missing."""
    values = as_float32(vectors)
    labelled = np.flatnonzero(rows.labels >= 0)
    own = rows.take(labelled)
    far, near = [], []
    for label in np.unique(own.labels):
        members = labelled[own.labels == label]
        far.append(farthest(values, rows, members, positives))
        # The nearest of other labels: a search among the others only.
        others = labelled[own.labels != label]
        found = nearest(values[members], values[others], rows.take(members), rows.take(others), negatives).index
        place, rank = np.nonzero(found >= 0)
        near.append(np.stack([members[place], others[found[place, rank]]], axis=1))
    nothing = np.zeros((0, 2), dtype=np.int64)
    pairs = HardPairs(np.concatenate([nothing, *far]), np.concatenate([nothing, *near]))
    if not len(pairs.positives) or not len(pairs.negatives):
        raise InputError(
            f"There are {len(pairs.positives)} pairs of one label and {len(pairs.negatives)} of two to learn from. "
            "A pair head needs both: labels with two photos or more, and two such labels."
        )
    return pairs


def farthest(values: Floats32, rows: Rows, members: Ints, count: int) -> Ints:
    """`(P, 2)`: each member of a label with those of it that are least similar, of equals the first."""
    precise = values[members].astype(np.float64)
    cosines = precise @ precise.T  # (M, M)
    own = rows.take(members)
    cosines[Gallery(own).excluded(own)] = np.inf
    order = np.argsort(cosines, axis=1, kind="stable")[:, :count]
    place, rank = np.nonzero(np.isfinite(np.take_along_axis(cosines, order, axis=1)))
    return np.stack([members[place], members[order[place, rank]]], axis=1)


def train_pair_head(vectors: NDArray[np.floating], rows: Rows, config: PairHeadConfig) -> PairHead:
    """A head for embeddings like these, `(N, D)` of unit length; `rows` whose they are, with labels.

    Binary cross-entropy, each batch half of one label and half of two. The same seed, the same head.
    """
    values = torch.from_numpy(as_float32(vectors))
    mined = mine_pairs(vectors, rows, positives=config.positives, negatives=config.negatives)
    kinds = [torch.from_numpy(mined.positives), torch.from_numpy(mined.negatives)]
    head = PairHead(config, values.shape[1]).train()
    optimizer = torch.optim.AdamW(head.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    generator = torch.Generator().manual_seed(config.seed)
    half = config.batch_size // 2
    target = torch.cat([torch.ones(half), torch.zeros(half)])
    for _ in range(config.steps):
        pairs = torch.cat([kind[torch.randint(len(kind), (half,), generator=generator)] for kind in kinds])  # (B, 2)
        loss = F.binary_cross_entropy_with_logits(head(values[pairs[:, 0]], values[pairs[:, 1]]), target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return head.eval()
