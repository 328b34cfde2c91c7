"""All pairs and all triplets, by three nested loops."""

from hypothesis import given

from mlcore.miners import AllMiner
from tests.mlcore.miners.cases import Case, cases, pairs_of, quick, rows_of


@quick
@given(cases())
def test_all_triplets(case: Case) -> None:
    expected = [(a, p, n) for a in range(case.anchors) for p in case.positives(a) for n in case.negatives(a)]
    assert rows_of(AllMiner().triplets(case.distances, case.candidates)) == expected


@quick
@given(cases())
def test_all_pairs(case: Case) -> None:
    positives, negatives = AllMiner()(case.distances, case.candidates)
    assert pairs_of(positives) == [(a, p) for a in range(case.anchors) for p in case.positives(a)]
    assert pairs_of(negatives) == [(a, n) for a in range(case.anchors) for n in case.negatives(a)]
