"""Candidates for nearest neighbours from a fast, rough product of matrices, none of the neighbours lost."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlcore.matches import Ints

BLOCKS = 8  # of columns per neighbour asked for: with fewer the bound is loose, with more it costs more to find
MANY_ROWS = 4096  # in a gallery for which bfloat16 pays
FEW_CANDIDATES = 1024  # of a query, beyond those asked for, that are always worth an exact look
ROUGH = (torch.bfloat16, torch.float32, torch.float64)
UNIT = {torch.bfloat16: 2.0**-8, torch.float32: 2.0**-24, torch.float64: 2.0**-53}  # the relative error of rounding
INPUT_UNIT = {"bf16": 2.0**-8, "tf32": 2.0**-11}  # what torch may do to float32 before it multiplies, when told to


def fast_type(device: torch.device) -> torch.dtype:
    """The type of the fastest rough product: bfloat16 where the processor multiplies it, else float32.

    On accelerators float32: there the product is not what takes the time.
    """
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if device.type == "cpu" and native else torch.float32


def input_unit(device: torch.device) -> float:
    """The relative error that torch is allowed to make in rounding float32 factors of a product: 0 unless told else."""
    library: Any = torch.backends.cuda if device.type == "cuda" else torch.backends.mkldnn
    return INPUT_UNIT.get(library.matmul.fp32_precision, 0.0)


@dataclass(frozen=True)
class Rounded:
    """`(N, D)` vectors in the type of a rough product, with what its error depends on.

    `norms`: `(N,)` of the vectors; `residues`: `(N,)` norms of what rounding took from them. float32.
    """

    values: Tensor
    norms: Tensor
    residues: Tensor

    @classmethod
    def of(cls, vectors: Tensor, kind: torch.dtype) -> "Rounded":
        """Of `(N, D)` float32 vectors."""
        values = vectors.to(kind)
        norms = vectors.norm(dim=1)
        if kind != torch.bfloat16:
            return cls(values, norms, norms * (input_unit(vectors.device) if kind == torch.float32 else 0.0))
        pieces = [slice(start, start + 1024) for start in range(0, len(vectors), 1024)]
        residues = [(vectors[piece] - values[piece]).norm(dim=1) for piece in pieces]
        return cls(values, norms, torch.cat(residues) if residues else norms)

    def __getitem__(self, part: slice) -> "Rounded":
        return Rounded(self.values[part], self.norms[part], self.residues[part])


def margin(queries: Rounded, gallery: Rounded, lowest: Tensor, *, score_unit: float) -> Tensor:
    """`(C,)`: how far below `lowest` `(C,)` the rough score of a neighbour may lie, if k rough scores are as high.

    Let s be the exact dot product of q and g, q' and g' their rounded forms, a the accumulated product of those, and
    r(a) the rough score: a rounded with the relative error u = `score_unit`. By Cauchy and Schwarz, |s - q'g'| = |(q -
    q')g + q'(g - g')| <= |q - q'| |g| + |q'| |g - g'|. Adding up D products in float32 or better, in any order, adds at
    most D v / (1 - D v) |q'| |g'|, with v its unit (Higham, Accuracy and Stability of Numerical Algorithms, section
    3.1). Call the sum of these E, so that |s - a| <= E.

    k scores r(a) >= L (`lowest`) have a >= L - u |L|, hence s >= L - u |L| - E. So has the k-th best s. A neighbour
    among the k best, by s rounded to float32 with ties, has s at least that, less two units of float32, and so
    a >= L - u |L| - 2 E - those. Rounding is monotone: comparing r(a) with this bound, rounded alike, keeps it.
    """
    wide = queries.values.dtype == torch.float64
    accumulation = 1.01 * queries.values.shape[1] * UNIT[torch.float64 if wide else torch.float32]
    largest, residue = gallery.norms.max(), gallery.residues.max()
    own = queries.norms + queries.residues  # no less than the norm of the rounded query
    error = queries.residues * largest + own * residue + accumulation * own * (largest + residue)
    ties = 2 * UNIT[torch.float32] * queries.norms * largest
    rounding = score_unit * lowest.abs().nan_to_num(posinf=0.0)  # below -inf lies nothing
    return 1.001 * (2 * error + ties + rounding)  # a little more, for the norms are rounded, too


class RoughSearch:
    """Candidates for the k nearest gallery rows of chunks of at most `size` queries.

    gallery: its `(G, D)` float32 vectors; kind: the type of products to begin with.
    """

    def __init__(
        self, gallery: Tensor, copies: dict[torch.dtype, Rounded], kind: torch.dtype, k: int, size: int
    ) -> None:
        self.gallery, self.copies, self.kind, self.k, self.size = gallery, copies, kind, k, size
        # Scores are looked at in blocks of neighbouring columns, by the largest of each.
        block = max(1, len(gallery) // (BLOCKS * k))
        self.block = block // 32 * 32 if block >= 32 else block
        self.blocks = -(-len(gallery) // self.block)
        self.scores: dict[torch.dtype, Tensor] = {}  # reused: making such an array anew takes as long as filling it

    def candidates(self, queries: Tensor, excluded: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
        """Pairs (query, gallery position), ascending, that hold the k nearest of each of the `(C, D)` queries.

        excluded: pairs that must not be among them. A type whose rounding leaves so many that their exact similarities
        would cost more than a slower product of matrices is given up, for the chunks to come as well.
        """
        few = len(queries) * (self.k + max(FEW_CANDIDATES, len(self.gallery) // 40))
        rows, columns = self.above_bound(queries, excluded)
        while len(rows) > few and self.kind != ROUGH[-1]:
            self.kind = ROUGH[ROUGH.index(self.kind) + 1]
            rows, columns = self.above_bound(queries, excluded)
        return rows, columns

    def above_bound(self, queries: Tensor, excluded: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
        """`candidates` by rough scores of the type `kind`."""
        asked, gallery = Rounded.of(queries, self.kind), copy_of(self.gallery, self.copies, self.kind)
        scores = self.buffer()[: len(queries)]  # (C, blocks * block)
        torch.mm(asked.values, gallery.values.T, out=scores[:, : len(self.gallery)])  # (C, D) @ (D, G)
        left, right = (torch.from_numpy(places).to(scores.device) for places in excluded)
        scores[left, right] = -torch.inf
        blocks = scores.view(len(queries), self.blocks, self.block)
        maxima = fast_maxima(blocks)
        bound = self.bound(maxima, asked, gallery)
        if self.kind == torch.bfloat16 and bool(bound.min() <= 0):
            maxima = blocks.amax(2)
            bound = self.bound(maxima, asked, gallery)
        chosen = where(maxima >= bound)
        rows = chosen // self.blocks
        cells = blocks.view(-1, self.block).index_select(0, chosen)
        places = where(cells >= bound.index_select(0, rows))
        within = places // self.block
        columns = chosen[within] % self.blocks * self.block + places % self.block
        return rows[within].cpu().numpy(), columns.cpu().numpy()

    def buffer(self) -> Tensor:
        """`(size, blocks * block)`; what lies past the gallery's end is -inf and stays so."""
        if self.kind not in self.scores:
            shape = (self.size, self.blocks * self.block)
            self.scores = {self.kind: torch.empty(shape, dtype=self.kind, device=self.gallery.device)}
            self.scores[self.kind][:, len(self.gallery) :] = -torch.inf
        return self.scores[self.kind]

    def bound(self, maxima: Tensor, queries: Rounded, gallery: Rounded) -> Tensor:
        """`(C, 1)`: the least rough score of a neighbour; finite, to leave out what is excluded.

        At least k scores of a row are as large as the k-th largest of the maxima of its blocks, for k blocks each hold
        one. That reads the scores once, in order; to select the k largest themselves would take several times as long.
        """
        kind = maxima.dtype
        lowest = torch.topk(maxima.to(torch.promote_types(kind, torch.float32)), self.k, dim=1).values[:, -1]
        score_unit = UNIT[kind] if kind == torch.bfloat16 else 0.0  # wider ones are what was added up
        bound = (lowest - margin(queries, gallery, lowest, score_unit=score_unit)).to(kind)
        return bound.clamp(min=torch.finfo(kind).min)[:, None]


def copy_of(vectors: Tensor, copies: dict[torch.dtype, Rounded], kind: torch.dtype) -> Rounded:
    """The vectors in a type of rough products, made when first asked for and kept in `copies`."""
    if kind not in copies:
        copies[kind] = Rounded.of(vectors, kind)
    return copies[kind]


def fast_maxima(blocks: Tensor) -> Tensor:
    """`(C, W, B)` -> `(C, W)`: the largest of each block; for bfloat16 some value of it where none is positive.

    The bits of bfloat16, read as whole numbers, are ordered as its positive values are, with all negative ones below,
    and compared several times faster.
    """
    if blocks.dtype != torch.bfloat16:
        return blocks.amax(2)
    return blocks.view(torch.int16).amax(2).view(torch.bfloat16)


def where(mask: Tensor) -> Tensor:
    """`(P,)` int64: positions in the flattened mask that are true. On the CPU numpy finds them several times faster."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.flatten().nonzero()[:, 0]
