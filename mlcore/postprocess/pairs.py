"""The pairwise re-ranker: a small siamese head that looks at two embeddings of a frozen extractor at once.

    linear  score = scale * cos(u, v), with u = x + C x, v = y + C y and a square matrix C that begins as 0
    concat  score = scale * cos(u, v) + f(|u - v|, u * v), with u and v brought to unit length, and f one hidden layer
            over both, side by side, with an output that begins as 0 (the features of a pair: Conneau et al. 2017)

Both are symmetric, and before training rank as the extractor does; weight decay draws them back to it. Of two
neighbours of one query, the difference of their scores is the log odds that the higher one is the match, as in RankNet
(Burges et al. 2005), among lists as hard as those of its training (`mlcore.postprocess.mining`).
"""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from mlcore.config.postprocess import PairHeadConfig, PairRerank
from mlcore.errors import InputError
from mlcore.matches import Rows
from mlcore.postprocess.indexed import Indexed
from mlcore.retrieval.exact import Floats32
from mlcore.retrieval.knn import Neighbours


class PairHead(nn.Module):
    """`forward`: `(..., D)`, `(..., D)` -> `(...)` scores. One config and dimension begin with the same weights."""

    def __init__(self, config: PairHeadConfig, dimension: int) -> None:
        super().__init__()
        self.config, self.dimension = config, dimension
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.change = nn.Parameter(torch.zeros(dimension, dimension))
        if config.head == "concat":
            self.hidden = nn.Linear(2 * dimension, config.hidden)
            self.out = nn.Linear(config.hidden, 1, bias=False)
            generator = torch.Generator().manual_seed(config.seed)
            nn.init.kaiming_uniform_(self.hidden.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(self.hidden.bias)
            nn.init.zeros_(self.out.weight)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.compare(self.move(left), self.move(right))

    def move(self, vectors: Tensor) -> Tensor:
        """What the head makes of each vector by itself, `(..., D)` of unit length."""
        return F.normalize(vectors + vectors @ self.change.T, dim=-1, eps=1e-6)

    def compare(self, left: Tensor, right: Tensor) -> Tensor:
        """The scores of moved vectors."""
        products = left * right
        scores: Tensor = self.scale * products.sum(-1)
        if self.config.head == "concat":
            # Numbers near 1, whatever the dimension.
            features = torch.cat([self.dimension**0.5 * (left - right).abs(), self.dimension * products], dim=-1)
            scores = scores + self.out(F.relu(self.hidden(features)))[..., 0]  # (..., 2D) -> (..., H) -> (...)
        return scores


class PairReranker:
    """Scores the first neighbours of each list by a trained head."""

    def __init__(self, head: PairHead, gallery: Indexed) -> None:
        if len(gallery.rows) and head.dimension != gallery.vectors.shape[1]:
            raise InputError(
                f"The pair head was trained for {head.dimension} dimensions; these embeddings have "
                f"{gallery.vectors.shape[1]}. Train one for this extractor."
            )
        self.head, vectors = head.eval(), torch.from_numpy(gallery.vectors)
        with torch.inference_mode():
            self.vectors = head.move(vectors) if len(vectors) else vectors

    @classmethod
    def of(cls, config: PairRerank, gallery: Indexed) -> "PairReranker":
        return cls(load_head(Path(config.weights)), gallery)

    @torch.inference_mode()
    def score(self, queries: Floats32, q: Rows, lists: Neighbours) -> Floats32:
        """`(Q, n)`; what they are past a list's end means nothing."""
        scores = np.empty(lists.index.shape, dtype=np.float32)
        # Query by query: the sums of a product of matrices may depend on how many rows it has.
        for place, index in enumerate(torch.from_numpy(lists.index)):
            query = self.head.move(torch.from_numpy(queries[place : place + 1]))
            scores[place] = self.head.compare(query, self.vectors[index]).numpy()
        return scores


def save_head(head: PairHead, path: Path) -> None:
    """One file: weights, configuration, dimension."""
    facts = {"config": head.config.model_dump_json(), "dimension": str(head.dimension)}
    path.write_bytes(save({name: value.contiguous() for name, value in head.state_dict().items()}, metadata=facts))


def load_head(path: Path) -> PairHead:
    """What `save_head` wrote. Raises InputError for anything else."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
            head = PairHead(PairHeadConfig.model_validate_json(facts["config"]), int(facts["dimension"]))
            head.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} holds no pair head: {error}") from None
    return head
