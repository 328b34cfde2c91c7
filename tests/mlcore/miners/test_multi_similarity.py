"""The pairs that are hard among their anchor's, by loops. Values on a grid of eighths, which float32 holds exactly."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlcore.config import MultiSimilarityMiner as Config
from mlcore.miners import MultiSimilarityMiner
from tests.mlcore.miners.cases import Case, cases, pairs_of, quick, rows_of

epsilons = st.sampled_from([-0.25, 0.0, 0.125, 0.25])


def chosen(case: Case, epsilon: float, anchor: int, cosines: list[float]) -> tuple[list[int], list[int]]:
    positives, negatives = case.positives(anchor), case.negatives(anchor)
    if not positives or not negatives:
        return [], []
    least, most = min(cosines[p] for p in positives), max(cosines[n] for n in negatives)
    return (
        [p for p in positives if cosines[p] < most + epsilon],
        [n for n in negatives if cosines[n] > least - epsilon],
    )


@quick
@given(cases(), epsilons)
def test_pairs(case: Case, epsilon: float) -> None:
    cosines = 1 - case.distances
    wanted = [chosen(case, epsilon, anchor, row) for anchor, row in enumerate(cosines.tolist())]
    positives, negatives = MultiSimilarityMiner(Config(epsilon=epsilon))(cosines, case.candidates)
    assert pairs_of(positives) == [(a, p) for a, (columns, _) in enumerate(wanted) for p in columns]
    assert pairs_of(negatives) == [(a, n) for a, (_, columns) in enumerate(wanted) for n in columns]


@quick
@given(cases(), epsilons)
def test_triplets_join_the_pairs(case: Case, epsilon: float) -> None:
    expected = []
    for anchor, distances in enumerate(case.distances.tolist()):
        cosines = [1 - distance**2 / 2 for distance in distances]
        positives, negatives = chosen(case, epsilon, anchor, cosines)
        expected += [(anchor, p, n) for p in positives for n in negatives]
    miner = MultiSimilarityMiner(Config(epsilon=epsilon))
    assert rows_of(miner.triplets(case.distances, case.candidates)) == expected


@pytest.mark.parametrize("epsilon", [0.0, 0.125])
def test_a_collapsed_batch_keeps_all_pairs_within_epsilon(epsilon: float) -> None:
    case = Case(torch.zeros(4, 4), torch.ones(4, 1), 4, [0, 0, 1, 1], [0, 1, 2, 3])
    positives, negatives = MultiSimilarityMiner(Config(epsilon=epsilon))(torch.ones(4, 4), case.candidates)
    assert bool(positives.any()) == bool(negatives.any()) == (epsilon > 0)


@pytest.mark.parametrize(("epsilon", "count"), [(0.0625, 0), (0.125, 1)])
def test_epsilon_is_of_the_cosine_for_triplets_too(epsilon: float, count: int) -> None:
    """Distances 0.25 and 0.5 are cosines 0.969 and 0.875: 0.094 apart."""
    case = Case(torch.tensor([[0.0, 0.25, 0.5]]), torch.eye(3), 1, [0, 0, 1], [0, 1, 2])
    triplets = MultiSimilarityMiner(Config(epsilon=epsilon)).triplets(case.distances, case.candidates)
    assert rows_of(triplets) == [(0, 1, 2)] * count
