"""Clusters by loops over labels in float64, and the gradient by finite differences."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from torch.nn import functional as F

from mlcore.miners import HardClusterMiner
from tests.mlcore.miners.cases import Case, cases, quick


def naive_gaps(case: Case) -> list[float]:
    vectors = case.embeddings.double().numpy()
    members = {label: [row for row, other in enumerate(case.labels) if other == label] for label in case.labels}
    means = {label: sum(vectors[row] for row in rows) / len(rows) for label, rows in members.items()}
    gaps = []
    for label in sorted(set(case.labels[: case.anchors])):
        anchors = [anchor for anchor in range(case.anchors) if case.labels[anchor] == label]
        if len(means) < 2 or not any(case.positives(anchor) for anchor in anchors):
            continue
        farthest = max(np.linalg.norm(vectors[row] - means[label]) for row in members[label])
        nearest = min(np.linalg.norm(means[other] - means[label]) for other in means if other != label)
        gaps.append(farthest - nearest)
    return gaps


@quick
@given(cases())
def test_gaps_of_means(case: Case) -> None:
    gaps = HardClusterMiner().gaps(case.distances, case.candidates)
    assert gaps.tolist() == pytest.approx(naive_gaps(case), abs=1e-5)


def test_many_means_that_are_close_are_told_apart() -> None:
    torch.manual_seed(0)
    embeddings = F.normalize(1 + 1e-3 * torch.randn(60, 8))
    case = Case(torch.zeros(60, 60), embeddings, 60, [row // 2 for row in range(60)], list(range(60)))
    found = HardClusterMiner().gaps(case.distances, case.candidates)
    assert found.tolist() == pytest.approx(naive_gaps(case), abs=1e-6)


def test_the_gradient_is_that_of_the_formula() -> None:
    torch.manual_seed(0)
    start = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    case = Case(torch.zeros(6, 9), start, 6, [0, 0, 1, 1, 2, 2, 0, 1, 3], list(range(9)))

    def gaps(embeddings: torch.Tensor) -> torch.Tensor:
        return HardClusterMiner().gaps(case.distances, replace(case, embeddings=embeddings).candidates)

    assert torch.autograd.gradcheck(gaps, [start])


def test_copies_of_one_photo_are_no_cluster() -> None:
    case = Case(torch.zeros(4, 4), torch.eye(4), 4, [0, 0, 1, 1], [7, 7, 8, 9])
    assert len(HardClusterMiner().gaps(case.distances, case.candidates)) == 1
