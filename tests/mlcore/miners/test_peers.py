"""Beside pytorch-metric-learning, where it has the same miner. It knows no copies, so every photo here is another."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mlcore import config as kinds
from mlcore.candidates import Candidates, pair_masks
from mlcore.miners import AllMiner, DistanceWeightedMiner, HardMiner, MultiSimilarityMiner, SemiHardMiner
from tests.mlcore.miners.cases import pairs_of, rows_of

peer_miners = pytest.importorskip("pytorch_metric_learning.miners")
peer_distances = pytest.importorskip("pytorch_metric_learning.distances")
peer_utils = pytest.importorskip("pytorch_metric_learning.utils.loss_and_miner_utils")

seeds = pytest.mark.parametrize("seed", range(6))


def batch_and_bank(seed: int) -> tuple[Candidates, Tensor]:
    """16 anchors and, for the odd seeds, a bank of 20 (the peer's `ref_emb` are then the bank alone)."""
    torch.manual_seed(seed)
    count = 16 + 20 * (seed % 2)
    embeddings, labels = F.normalize(torch.randn(count, 8)), torch.randint(6, (count,))
    start = 16 if seed % 2 else 0  # this library joins the batch to its bank; to compare, it is left out
    photos = torch.arange(count)
    references, reference_labels = embeddings[start:], labels[start:]
    masks = pair_masks(labels[:16], photos[:16], reference_labels, photos[start:])
    candidates = Candidates(embeddings[:16], references, labels[:16], reference_labels, *masks)
    return candidates, peer_distances.LpDistance()(candidates.anchors, references)


def peer(miner: object, candidates: Candidates, bank: bool) -> list[Tensor]:
    arguments = [candidates.anchors, candidates.anchor_labels]
    return list(miner(*arguments, *([candidates.references, candidates.reference_labels] if bank else [])))


@seeds
def test_all(seed: int) -> None:
    candidates, distances = batch_and_bank(seed)
    theirs = peer_utils.get_all_triplets_indices(
        candidates.anchor_labels, candidates.reference_labels if seed % 2 else None
    )
    assert rows_of(AllMiner().triplets(distances, candidates)) == sorted(rows_of(theirs))


@seeds
def test_hard(seed: int) -> None:
    candidates, distances = batch_and_bank(seed)
    theirs = peer(peer_miners.BatchHardMiner(), candidates, bool(seed % 2))
    assert rows_of(HardMiner().triplets(distances, candidates)) == sorted(rows_of(tuple(theirs)))


@seeds
def test_semi_hard(seed: int) -> None:
    """The peer has it for the nearest positive only."""
    candidates, distances = batch_and_bank(seed)
    theirs = peer(peer_miners.BatchEasyHardMiner("easy", "semihard"), candidates, bool(seed % 2))
    anchors, positives, _, negatives = theirs
    ours = rows_of(SemiHardMiner().triplets(distances, candidates))
    nearest = {a: distances[a].masked_fill(~candidates.positives[a], torch.inf).argmin().item() for a in range(16)}
    assert len(ours) > 5
    assert [(a, p, n) for a, p, n in ours if nearest[a] == p] == sorted(rows_of((anchors, positives, negatives)))


@seeds
def test_multi_similarity(seed: int) -> None:
    candidates, _ = batch_and_bank(seed)
    a1, p, a2, n = peer(peer_miners.MultiSimilarityMiner(epsilon=0.1), candidates, bool(seed % 2))
    cosines = candidates.anchors @ candidates.references.T
    positives, negatives = MultiSimilarityMiner(kinds.MultiSimilarityMiner(epsilon=0.1))(cosines, candidates)
    assert pairs_of(positives) == sorted(rows_of((a1, p)))
    assert pairs_of(negatives) == sorted(rows_of((a2, n)))


@pytest.mark.parametrize("seed", [0, 1])
def test_distance_weighted_draws_negatives_as_often(seed: int) -> None:
    """The peer draws positives too; the negatives of an anchor follow the same distribution."""
    candidates, distances = batch_and_bank(seed)
    ours, theirs = torch.zeros_like(distances), torch.zeros_like(distances)
    our_miner = DistanceWeightedMiner(kinds.DistanceWeightedMiner(cutoff=0.5, farthest=1.4))
    their_miner = peer_miners.DistanceWeightedMiner(cutoff=0.5, nonzero_loss_cutoff=1.4)
    for _ in range(300):
        a, _, n = our_miner.triplets(distances, candidates)
        ours.index_put_((a, n), torch.tensor(1.0), accumulate=True)
        a, _, n = peer(their_miner, candidates, bool(seed % 2))
        theirs.index_put_((a, n), torch.tensor(1.0), accumulate=True)
    often = (ours.sum(1) >= 600) & (theirs.sum(1) >= 600)
    assert often.sum() >= 5
    shares = ours[often] / ours[often].sum(1, keepdim=True), theirs[often] / theirs[often].sum(1, keepdim=True)
    assert ((shares[0] - shares[1]).abs().sum(1) / 2 < 0.1).all()  # total variation
