"""Training of a pair head on hard lists: the nearest rows of each training row, as a frozen extractor ranks them.

They are what the head will be asked to re-rank. Within each list every row of its label should score above every row of
another. Whether that helps is judged on labels held out of the training; where it does not, the head keeps the
extractor's order. An extractor that trained on these very labels ranks them better than those to come, and the
judgement is then about lists that are easier: train a head on labels that its extractor never saw, where there are any.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mlcore.config.postprocess import PairHeadConfig
from mlcore.errors import InputError
from mlcore.matches import Gallery, Ints, Rows
from mlcore.postprocess.indexed import Indexed
from mlcore.postprocess.pairs import PairHead, PairReranker
from mlcore.retrieval.exact import Floats32, as_float32
from mlcore.retrieval.knn import nearest
from mlcore.retrieval.metrics import Floats, query_metrics


@dataclass(frozen=True, eq=False)
class HardLists:
    """`queries`: `(L,)` positions; `index`: `(L, n)` those of their neighbours, best first, -1 past a list's end.

    `same`, `other`: `(L, n)`, whether that neighbour bears the query's label or another one; each list has both kinds.
    """

    queries: Ints
    index: Ints
    same: NDArray[np.bool_]
    other: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TrainedHead:
    """`head`, after `steps` of training; 0: it ranks as the extractor does, for more did not help.

    `before`, `after`: figures of lists of labels held out, as means over labels: in the extractor's order, and
    re-ranked by heads that trained for `steps` on the other labels.
    """

    head: PairHead
    steps: int
    before: dict[str, float]
    after: dict[str, float]

    def __str__(self) -> str:
        changes = ", ".join(f"{name} {value:.4f} to {self.after[name]:.4f}" for name, value in self.before.items())
        if self.steps:
            return f"The pair head was trained for {self.steps} steps. On labels held out: {changes}."
        return "Training did not help on labels held out: the pair head ranks as the extractor does."


def mine_lists(values: Floats32, rows: Rows, count: int) -> HardLists:
    """Of each row with a label its `count` nearest among the others, `(N, D)` of unit length, where labels differ.

    Never the row itself, its copies, its sequence; rows without a label are left out.
    """
    labelled = np.flatnonzero(rows.labels >= 0)
    own = rows.take(labelled)
    found = nearest(values[labelled], values[labelled], own, own, count).index
    same = (found >= 0) & (own.labels[found] == own.labels[:, None])
    other = (found >= 0) & ~same
    mixed = same.any(1) & other.any(1)
    index = np.where(found >= 0, labelled[found], -1)
    return HardLists(labelled[mixed], index[mixed], same[mixed], other[mixed])


def train_pair_head(vectors: NDArray[np.floating], rows: Rows, config: PairHeadConfig) -> TrainedHead:
    """A head for embeddings like these, `(N, D)` of unit length; `rows` whose they are, with labels.

    The labels are held out in turn, a fold at a time, while heads train on the others; `best_part` then says for how
    many steps a head trains on all of them. The same seed, the same head. Raises InputError where fewer than two labels
    a fold have a match.
    """
    values = as_float32(vectors)
    folds = label_folds(rows, config)
    names = ("cmc@1", f"map@{config.candidates}")
    judged = []
    for held_out in folds:
        inside = np.isin(rows.labels, held_out)
        gallery = Indexed.of(values[inside], rows.take(inside))
        heads = training(values[~inside], rows.take(~inside), config)
        judged.append(np.stack([label_figures(head, gallery, names, config) for _, head in heads]))
    figures = np.concatenate(judged, axis=1)  # (C, L, 2): after each part of the training
    best = best_part(figures)
    steps, head = next(islice(training(values, rows, config), best, None))
    before, after = (dict(zip(names, figures[at].mean(axis=0).tolist(), strict=True)) for at in (0, best))
    return TrainedHead(head.eval(), steps, before, after)


def best_part(figures: Floats) -> int:
    """The part of a training that helped labels held out most; 0, none, where none helped.

    figures: `(C, L, 2)`: after each part, the first before any, CMC@1 and mAP of each label. To help is not to lower
    CMC@1, and to raise mAP by more than the standard error of its gain over labels; the highest mAP helps most.
    """
    gains = figures - figures[0]
    cmc, precision = gains.mean(axis=1).T
    error = gains[..., 1].std(axis=1, ddof=1) / gains.shape[1] ** 0.5
    return int(np.where((cmc >= 0) & (precision > error), precision, 0.0).argmax())


def label_folds(rows: Rows, config: PairHeadConfig) -> list[Ints]:
    """The labels that have a match among the rows, in random parts of equal size."""
    labels = np.unique(rows.labels[Gallery(rows).relevant(rows) > 0])
    if len(labels) < 2 * config.folds:
        raise InputError(
            f"{len(labels)} labels have two photos or more. A pair head is judged on labels held out of its training: "
            f"it needs {2 * config.folds} such labels."
        )
    return np.array_split(np.random.default_rng(config.seed).permutation(labels), config.folds)


def training(values: Floats32, rows: Rows, config: PairHeadConfig) -> Iterator[tuple[int, PairHead]]:
    """Steps done and the head, at first and after every `check_every` steps: always the same one, as it then is."""
    lists = mine_lists(values, rows, config.candidates)
    vectors, queries, index, same, other = (
        torch.from_numpy(part) for part in (values, lists.queries, lists.index, lists.same, lists.other)
    )
    head = PairHead(config, vectors.shape[1])
    yield 0, head
    weights = [value for name, value in head.named_parameters() if name != "scale"]
    groups: list[dict[str, Any]] = [{"params": weights}, {"params": [head.scale], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay)
    generator = torch.Generator().manual_seed(config.seed)
    for step in range(1, config.steps + 1):
        if len(queries):
            drawn = torch.randint(len(queries), (config.batch_size,), generator=generator)
            scores = head(vectors[queries[drawn]][:, None], vectors[index[drawn]])  # (B, n)
            loss = ranking_loss(scores, same[drawn], other[drawn])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if step % config.check_every == 0 or step == config.steps:
            yield step, head


def ranking_loss(scores: Tensor, same: Tensor, other: Tensor) -> Tensor:
    """RankNet's loss (Burges et al. 2005): the mean over a list's pairs of one row of each kind, then over lists.

    scores: `(B, n)`; same, other: `(B, n)` bool.
    """
    losses = F.softplus(scores[:, None, :] - scores[:, :, None])  # (B, n, n): row i of its label below row j of another
    pairs = same[:, :, None] & other[:, None, :]
    return ((losses * pairs).sum((1, 2)) / pairs.sum((1, 2))).mean()


def label_figures(head: PairHead, gallery: Indexed, names: tuple[str, str], config: PairHeadConfig) -> Floats:
    """`(L, 2)`: CMC@1 and mAP of each label's rows, searching among the gallery's own rows, re-ranked by the head."""
    lists = gallery.own_lists(config.candidates)
    scores = PairReranker(head, gallery).score(gallery.vectors, gallery.rows, lists)
    scores[lists.index < 0] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")
    index = np.take_along_axis(lists.index, order, axis=1)
    labels = gallery.rows.labels
    hits = (index >= 0) & (labels[index] == labels[:, None])
    figures = query_metrics(hits, index >= 0, lists.relevant, ks=(1, config.candidates))
    table = np.stack([figures[name] for name in names], axis=1)
    matched = lists.relevant > 0
    return np.stack([table[matched & (labels == label)].mean(axis=0) for label in np.unique(labels)])
