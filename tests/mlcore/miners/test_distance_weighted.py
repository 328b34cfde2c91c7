"""Weights by the formula of the paper in float64, and draws by a chi-squared test."""

import math

import pytest
import torch
from hypothesis import given
from torch.nn import functional as F

from mlcore.config import DistanceWeightedMiner as Config
from mlcore.miners import DistanceWeightedMiner
from mlcore.miners.distance_weighted import draw
from tests.mlcore.miners.cases import Case, cases, pairs_of, quick, rows_of


def naive_weights(distances: list[float], columns: list[int], dimension: int, config: Config) -> dict[int, float]:
    weights = {}
    for column in columns:
        if distances[column] <= config.farthest:
            d = max(distances[column], config.cutoff)
            weights[column] = 1 / (d ** (dimension - 2) * (1 - d * d / 4) ** ((dimension - 3) / 2))
    total = sum(weights.values())
    return {column: weight / total for column, weight in weights.items()}


@pytest.mark.parametrize("dimension", [2, 3, 16, 128])
def test_weights_are_one_over_the_density(dimension: int) -> None:
    torch.manual_seed(dimension)
    config = Config(cutoff=0.5, farthest=1.4)
    distances = torch.rand(6, 30) * 1.9
    labels = torch.randint(3, (30,)).tolist()
    case = Case(distances, F.normalize(torch.randn(30, dimension)), 6, labels, list(range(30)))
    weights = DistanceWeightedMiner(config).weights(distances, case.candidates).double()
    shares = weights / weights.sum(1, keepdim=True)
    for anchor in range(6):
        expected = naive_weights(distances[anchor].tolist(), case.negatives(anchor), dimension, config)
        assert shares[anchor].tolist() == pytest.approx([expected.get(column, 0) for column in range(30)], rel=1e-3)


def test_draws_follow_the_weights() -> None:
    torch.manual_seed(0)
    shares = torch.tensor([[0.1, 0.0, 0.4, 0.5], [1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
    rows, columns = draw(shares * torch.tensor([[3.0], [1.0], [8.0]]), torch.tensor([6000, 0, 4000]))
    assert rows.bincount(minlength=3).tolist() == [6000, 0, 4000]
    for row, critical in ((0, 13.82), (2, 16.27)):  # chi-squared, 0.001, with 2 and 3 degrees of freedom
        seen = columns[rows == row].bincount(minlength=4)
        expected = shares[row] * (rows == row).sum()
        assert (seen[expected == 0] == 0).all()
        statistic = ((seen - expected).square() / expected)[expected > 0].sum()
        assert statistic < critical


@quick
@given(cases())
def test_every_positive_gets_one_negative_that_is_within_reach(case: Case) -> None:
    config = Config(cutoff=0.5, farthest=1.0)
    triplets = rows_of(DistanceWeightedMiner(config).triplets(case.distances, case.candidates))
    reach = {a: [n for n in case.negatives(a) if case.distances[a, n] <= 1] for a in range(case.anchors)}
    assert [(a, p) for a, p, _ in triplets] == [(a, p) for a in reach for p in case.positives(a) if reach[a]]
    assert all(n in reach[a] for a, _, n in triplets)


@quick
@given(cases())
def test_pairs_hold_all_positives_and_as_many_negatives_at_most(case: Case) -> None:
    cosines = 1 - case.distances.square() / 2
    positives, negatives = DistanceWeightedMiner(Config(farthest=1.3))(cosines, case.candidates)
    assert pairs_of(positives) == [(a, p) for a in range(case.anchors) for p in case.positives(a)]
    drawn = pairs_of(negatives)
    for anchor in range(case.anchors):
        columns = [n for a, n in drawn if a == anchor]
        reach = [n for n in case.negatives(anchor) if case.distances[anchor, n] <= 1.25]
        assert set(columns) <= set(reach)
        assert min(1, len(reach)) <= len(columns) <= max(1, len(case.positives(anchor)))


def test_a_cosine_that_rounding_lifts_above_1_may_be_drawn() -> None:
    case = Case(torch.zeros(1, 3), torch.ones(3, 4), 1, [0, 0, 1], [0, 1, 2])
    _, negatives = DistanceWeightedMiner(Config())(torch.full((1, 3), 1 + 1e-6), case.candidates)
    assert pairs_of(negatives) == [(0, 2)]


def test_the_generator_alone_decides() -> None:
    torch.manual_seed(5)
    case = Case(torch.rand(12, 12), torch.ones(12, 4), 12, [0, 1, 2] * 4, list(range(12)))
    miner = DistanceWeightedMiner(Config())
    answers = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        answers.append(rows_of(miner.triplets(case.distances, case.candidates)))
    assert answers[0] == answers[1] != answers[2]


@pytest.mark.parametrize("dimension", [2, 512, 4096])
def test_opposite_and_equal_points_have_finite_weights(dimension: int) -> None:
    distances = torch.tensor([[0.0, 2.0, 0.0, 1.2], [2.0, 0.0, 2.0, 2.0]])
    case = Case(distances, torch.ones(4, dimension), 2, [0, 0, 1, 1], [0, 1, 2, 3])
    weights = DistanceWeightedMiner(Config(farthest=2)).weights(distances, case.candidates)
    assert torch.isfinite(weights).all()
    assert weights.amax(1).tolist() == [1, 1]
    assert math.isclose(weights[1, 2], weights[1, 3])
