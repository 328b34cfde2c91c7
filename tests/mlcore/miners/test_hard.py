"""The hardest pairs of each anchor, by loops; `max` and `min` of Python take the first of equals too."""

from hypothesis import example, given

from mlcore.miners import HardMiner
from tests.mlcore.miners.cases import WIDE, Case, cases, pairs_of, quick, rows_of


@quick
@given(cases())
@example(WIDE)
def test_the_farthest_positive_with_the_nearest_negative(case: Case) -> None:
    expected = []
    for anchor, distances in enumerate(case.distances.tolist()):
        positives, negatives = case.positives(anchor), case.negatives(anchor)
        if positives and negatives:
            expected.append(
                (anchor, max(positives, key=distances.__getitem__), min(negatives, key=distances.__getitem__))
            )
    assert rows_of(HardMiner().triplets(case.distances, case.candidates)) == expected


@quick
@given(cases())
def test_pairs_are_by_cosine_and_need_no_partner(case: Case) -> None:
    cosines = 1 - case.distances
    positives, negatives = HardMiner()(cosines, case.candidates)
    rows = cosines.tolist()
    anchors = range(case.anchors)
    assert pairs_of(positives) == [
        (a, min(case.positives(a), key=rows[a].__getitem__)) for a in anchors if case.positives(a)
    ]
    assert pairs_of(negatives) == [
        (a, max(case.negatives(a), key=rows[a].__getitem__)) for a in anchors if case.negatives(a)
    ]
