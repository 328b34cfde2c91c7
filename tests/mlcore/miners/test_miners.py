"""What every miner guarantees, whatever it chooses."""

from typing import get_args

import pytest
import torch
from hypothesis import given
from torch.nn import functional as F

from mlcore import config as kinds
from mlcore.candidates import batch_candidates
from mlcore.config.frozen import Frozen
from mlcore.miners import IndexMiner, build_pair_miner, build_triplet_miner
from tests.mlcore.miners.cases import Case, cases, quick

TRIPLET_KINDS: list[Frozen] = [kind() for kind in get_args(get_args(kinds.TripletMiner)[0])]
PAIR_KINDS: list[Frozen] = [kind() for kind in get_args(get_args(kinds.PairMiner)[0])]
triplet_kinds = pytest.mark.parametrize("config", TRIPLET_KINDS, ids=lambda config: config.kind)
index_kinds = pytest.mark.parametrize(  # the others' triplets are not of rows, but of means
    "config", [config for config in TRIPLET_KINDS if config.kind != "hard_cluster"], ids=lambda config: config.kind
)
pair_kinds = pytest.mark.parametrize("config", PAIR_KINDS, ids=lambda config: config.kind)


def test_every_declared_kind_is_built() -> None:
    assert [type(build_triplet_miner(config)).__name__ for config in TRIPLET_KINDS] == [
        type(config).__name__ for config in TRIPLET_KINDS
    ]
    assert [type(build_pair_miner(config)).__name__ for config in PAIR_KINDS] == [
        type(config).__name__ for config in PAIR_KINDS
    ]


@index_kinds
@quick
@given(case=cases())
def test_a_triplet_is_an_anchor_another_photo_of_its_label_and_another_label(config: Frozen, case: Case) -> None:
    miner = build_triplet_miner(config)
    assert isinstance(miner, IndexMiner)
    anchors, positives, negatives = (index.tolist() for index in miner.triplets(case.distances, case.candidates))
    for a, p, n in zip(anchors, positives, negatives, strict=True):
        assert p != a
        assert case.labels[p] == case.labels[a] != case.labels[n]
        assert case.photos[p] != case.photos[a]


@pair_kinds
@quick
@given(case=cases())
def test_pairs_are_a_part_of_what_may_be_paired(config: Frozen, case: Case) -> None:
    candidates = case.candidates
    positives, negatives = build_pair_miner(config)(1 - case.distances, candidates)
    assert positives.dtype == negatives.dtype == torch.bool
    assert not (positives & ~candidates.positives).any()
    assert not (negatives & ~candidates.negatives).any()


@index_kinds
def test_gaps_are_distances_of_the_triplets_and_pass_their_gradient(config: Frozen) -> None:
    miner = build_triplet_miner(config)
    assert isinstance(miner, IndexMiner)
    torch.manual_seed(0)
    distances = (torch.rand(8, 11) + 0.1).requires_grad_()
    case = Case(distances, torch.ones(11, 8), 8, [0, 0, 0, 1, 1, 1, 2, 2, 0, 1, 3], list(range(11)))
    torch.manual_seed(1)
    gaps = miner.gaps(distances, case.candidates)
    torch.manual_seed(1)
    triplets = torch.stack(miner.triplets(distances, case.candidates)).T.tolist()
    assert gaps.tolist() == [(distances[a, p] - distances[a, n]).item() for a, p, n in triplets]
    assert len(triplets) > 2
    expected = torch.zeros(8, 11)
    for a, p, n in triplets:
        expected[a, p] += 1
        expected[a, n] -= 1
    gaps.sum().backward()
    assert torch.equal(distances.grad, expected)


@triplet_kinds
@pytest.mark.parametrize(
    ("labels", "photos"),
    [([], []), ([0], [0]), ([0, 0, 0], [0, 1, 2]), ([0, 1, 2], [0, 1, 2]), ([0, 0, 1], [5, 5, 6])],
    ids=["nothing", "one", "one label", "no positives", "only a copy"],
)
def test_without_triplets_there_are_no_gaps_but_a_gradient_path(
    config: Frozen, labels: list[int], photos: list[int]
) -> None:
    embeddings = F.normalize(torch.randn(len(labels), 4)).requires_grad_()
    candidates = batch_candidates(embeddings, torch.tensor(labels).long(), torch.tensor(photos).long())
    distances = (2 - 2 * candidates.anchors @ candidates.references.T).clamp(min=1e-12).sqrt()
    gaps = build_triplet_miner(config).gaps(distances, candidates)
    assert gaps.shape == (0,)
    gaps.sum().backward()
    assert (embeddings.grad == 0).all()


@triplet_kinds
def test_gradients_are_finite_for_identical_embeddings(config: Frozen) -> None:
    embeddings = F.normalize(torch.ones(6, 4)).requires_grad_()
    candidates = batch_candidates(embeddings, torch.tensor([0, 0, 0, 1, 1, 1]), torch.arange(6))
    distances = (2 - 2 * candidates.anchors @ candidates.references.T).clamp(min=1e-12).sqrt()
    gaps = build_triplet_miner(config).gaps(distances, candidates)
    gaps.sum().backward()
    assert torch.isfinite(gaps).all()
    assert torch.isfinite(embeddings.grad).all()


@pytest.mark.parametrize("kind", ["hard", "semi_hard", "n_hard", "hard_cluster"])
def test_memory_grows_with_the_square_of_the_batch_at_most(kind: str) -> None:
    """A mask over all triplets would be of 216 MB."""
    count = 600
    labels = torch.arange(count) % 2
    embeddings = F.normalize(torch.randn(count, 2))
    candidates = batch_candidates(embeddings, labels, torch.arange(count))
    distances = (2 - 2 * candidates.anchors @ candidates.references.T).clamp(min=1e-12).sqrt()
    miner = build_triplet_miner(next(config for config in TRIPLET_KINDS if config.kind == kind))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        miner.gaps(distances, candidates)
    largest = max(abs(event.cpu_memory_usage) for event in profile.events())
    assert largest <= 24 * 4 * count**2
