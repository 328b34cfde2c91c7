"""Arithmetic that losses share, and how they look at the batch and at a memory bank."""

import math

import pytest
import torch
from torch.nn import functional as F

from mlcore.candidates import batch_candidates
from mlcore.config import AllMiner, Contrastive, Loss, MemoryBank, NTXent, Triplet
from mlcore.losses import LossOutput, PairLoss, build_loss
from mlcore.losses.base import directions, distances, log_sum_exp, mean_over, pair_figures, unit
from tests.mlcore.losses.cases import BATCHES, DIMENSION, PAIR_LOSSES, Batch, distance, dot, mean, naive_pairs


def test_a_row_of_zeros_normalises_to_zeros_with_a_finite_gradient() -> None:
    rows = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    units = unit(rows)
    units.sum().backward()
    assert units.tolist() == [[0, 0], pytest.approx([0.6, 0.8])]
    assert torch.isfinite(rows.grad).all()


def test_rows_shorter_than_a_millionth_stay_shorter_than_1() -> None:
    assert unit(torch.tensor([[3e-7, 4e-7]])).tolist() == [pytest.approx([0.3, 0.4])]


def test_unit_is_float32_whatever_comes_in() -> None:
    for dtype in (torch.float64, torch.bfloat16, torch.float16):
        assert unit(torch.ones(2, 3, dtype=dtype)).dtype == torch.float32


def test_learnt_directions_start_with_length_1_and_point_everywhere() -> None:
    vectors = directions(500, 3, 8)
    assert torch.allclose(vectors.norm(dim=-1), torch.ones(500, 3))
    assert vectors.detach().mean((0, 1)).abs().max() < 0.05


def test_distances_equal_the_naive_ones() -> None:
    embeddings = BATCHES["ragged"].embeddings
    expected = [[math.sqrt(sum((a - b) ** 2).item()) for b in embeddings] for a in embeddings]
    assert distances(embeddings @ embeddings.T).tolist() == pytest.approx(torch.tensor(expected).numpy(), abs=1e-5)


def test_the_gradient_of_distances_is_finite_at_0_and_past_it() -> None:
    cosines = torch.tensor([1.0, 1.0 + 1e-6, 1 - 1e-7, -1.0], requires_grad=True)
    distances(cosines).sum().backward()
    assert torch.isfinite(cosines.grad).all()
    assert cosines.grad[:2].tolist() == [0, 0]


def test_mean_over_is_the_mean_of_what_the_mask_holds() -> None:
    values = torch.tensor([1.0, math.inf, 4.0], requires_grad=True)
    value = mean_over(values, torch.tensor([True, False, True]))
    value.backward()
    assert value.item() == 2.5
    assert values.grad.tolist() == [0.5, 0, 0.5]


def test_mean_over_nothing_is_0_with_a_gradient_of_zeros() -> None:
    values = torch.tensor([1.0, math.nan], requires_grad=True)
    value = mean_over(values, torch.tensor([False, False]))
    value.backward()
    assert value.item() == 0
    assert values.grad.tolist() == [0, 0]


@pytest.mark.parametrize("dim", [0, 1])
def test_log_sum_exp_equals_the_naive_one_and_has_no_gradient_where_it_is_empty(dim: int) -> None:
    values = torch.tensor([[0.5, -2.0, 80.0], [1.0, 700.0, 3.0]], dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, False, True], [False, False, False]])
    result = log_sum_exp(values, mask, dim)
    F.softplus(result).sum().backward()
    for got, row, kept in zip(
        result.tolist(), values.T if dim == 0 else values, mask.T if dim == 0 else mask, strict=True
    ):
        chosen = [math.exp(v) for v, keep in zip(row.tolist(), kept.tolist(), strict=True) if keep]
        assert got == (pytest.approx(math.log(sum(chosen))) if chosen else pytest.approx(-1e30))
    assert values.grad[~mask].tolist() == [0, 0, 0, 0]
    assert torch.isfinite(values.grad).all()


def test_logs_are_the_figures_as_numbers() -> None:
    output = LossOutput(torch.tensor(1.0), {"a": torch.tensor(0.5), "b": torch.tensor(3)})
    assert output.logs == {"a": 0.5, "b": 3.0}
    assert LossOutput(torch.tensor(1.0)).logs == {}


@pytest.mark.parametrize("name", BATCHES)
def test_pair_figures_are_the_naive_mean_distances(name: str) -> None:
    now = BATCHES[name]
    candidates = batch_candidates(*now.give())
    figures = LossOutput(torch.tensor(0), pair_figures(candidates.anchors @ candidates.references.T, candidates)).logs
    pairs = naive_pairs(now)
    for key, cosines in (("positive_distance", pairs.positives), ("negative_distance", pairs.negatives)):
        assert figures[key] == pytest.approx(mean([distance(s) for row in cosines for s in row]), rel=1e-4)


def with_memory(size: int = 64) -> MemoryBank:
    return MemoryBank(size=size, start_step=0)


def all_triplets(now: Batch, past: Batch | None) -> float:
    pairs = naive_pairs(now, past)
    losses = [
        distance(p) - distance(n) + 0.2
        for row, others in zip(pairs.positives, pairs.negatives, strict=True)
        for p in row
        for n in others
    ]
    return mean([value for value in losses if value > 0])


def all_softmaxes(now: Batch, past: Batch | None) -> float:
    pairs = naive_pairs(now, past)
    return mean(
        [
            math.log(1 + sum(math.exp((n - p) / 0.07) for n in others))
            for row, others in zip(pairs.positives, pairs.negatives, strict=True)
            for p in row
        ]
    )


@pytest.mark.parametrize(
    ("config", "naive"),
    [(Triplet(miner=AllMiner(), memory=with_memory()), all_triplets), (NTXent(memory=with_memory()), all_softmaxes)],
    ids=["triplet", "nt_xent"],
)
def test_with_a_memory_bank_anchors_are_also_compared_with_the_last_batches(config, naive) -> None:
    loss = build_loss(config, labels=6, dimension=DIMENSION)
    first, second = BATCHES["ragged"], BATCHES["copies"]  # they share photos, which are no positives of each other
    assert float(loss(*first.give()).value) == pytest.approx(naive(first, None), rel=1e-4)
    assert float(loss(*second.give()).value) == pytest.approx(naive(second, first), rel=1e-4)


def test_a_memory_bank_serves_a_batch_without_pairs_and_sends_its_gradient_to_the_batch_alone() -> None:
    loss = build_loss(Contrastive(memory=with_memory(), negative_margin=2), labels=6, dimension=DIMENSION)
    past = BATCHES["no positives"].embeddings.clone().requires_grad_()
    loss(past, torch.arange(6), torch.arange(6))
    now = BATCHES["one row"].embeddings.clone().requires_grad_()
    value = loss(now, torch.tensor([2]), torch.tensor([99])).value
    value.backward()
    together = distance(dot(now[0], past[2]))
    apart = mean([(2 - distance(dot(now[0], past[i]))) ** 2 for i in range(6) if i != 2])
    assert value.item() == pytest.approx((together**2 + apart) / 2, rel=1e-4)
    assert now.grad.abs().sum() > 0
    assert past.grad is None


def test_only_training_fills_the_memory_bank() -> None:
    loss = build_loss(NTXent(memory=with_memory()), labels=6, dimension=DIMENSION)
    now = BATCHES["balanced"]
    loss.eval()
    for _ in range(3):
        assert float(loss(*now.give()).value) == pytest.approx(all_softmaxes(now, None), rel=1e-4)
    loss.train()
    loss(*now.give())
    loss.eval()
    again = Batch(now.embeddings, now.labels, [photo + 100 for photo in now.photos])
    assert float(loss(*again.give()).value) == pytest.approx(all_softmaxes(again, now), rel=1e-4)


@pytest.mark.parametrize("config", PAIR_LOSSES, ids=lambda config: config.kind)
def test_rows_of_a_memory_bank_are_compared_with_but_are_no_anchors(config: Loss) -> None:
    loss = build_loss(config.model_copy(update={"memory": with_memory()}), labels=6, dimension=DIMENSION)
    assert isinstance(loss, PairLoss)
    now, past = BATCHES["copies"].give(), BATCHES["ragged"].give()
    loss(*past)
    both = batch_candidates(*(torch.cat(parts) for parts in zip(now, past, strict=True)))
    similarity, anchors = both.anchors @ both.references.T, torch.arange(len(both.anchors)) < len(now[0])
    masks = (mask & anchors[:, None] for mask in loss.miner(similarity, both))
    expected = float(loss.function(similarity, *masks))
    if config.kind == "multi_similarity":  # its mean is over all rows
        expected *= len(anchors) / int(anchors.sum())
    assert float(loss(*now).value) == pytest.approx(expected, rel=1e-4)


def test_the_memory_bank_is_part_of_the_state() -> None:
    config = NTXent(memory=with_memory())
    loss, other = (build_loss(config, labels=6, dimension=DIMENSION) for _ in range(2))
    loss(*BATCHES["ragged"].give())
    other.load_state_dict(loss.state_dict())
    now = BATCHES["balanced"].give()
    assert other(*now).value.item() == loss(*now).value.item()
