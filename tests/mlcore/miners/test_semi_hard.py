"""The nearest negative beyond each positive, by loops."""

from hypothesis import example, given

from mlcore.miners import SemiHardMiner
from tests.mlcore.miners.cases import WIDE, Case, cases, quick, rows_of


@quick
@given(cases())
@example(WIDE)
def test_the_nearest_negative_farther_than_the_positive(case: Case) -> None:
    expected = []
    for anchor, distances in enumerate(case.distances.tolist()):
        for positive in case.positives(anchor):
            farther = [column for column in case.negatives(anchor) if distances[column] > distances[positive]]
            if farther:
                expected.append((anchor, positive, min(farther, key=distances.__getitem__)))
    assert rows_of(SemiHardMiner().triplets(case.distances, case.candidates)) == expected


@quick
@given(cases())
def test_every_gap_is_below_0(case: Case) -> None:
    assert (SemiHardMiner().gaps(case.distances, case.candidates) < 0).all()
