"""Several hard pairs of each anchor, by sorting lists."""

from hypothesis import example, given
from hypothesis import strategies as st

from mlcore.config import NHardMiner as Config
from mlcore.miners import HardMiner, NHardMiner
from tests.mlcore.miners.cases import WIDE, Case, cases, pairs_of, quick, rows_of

configs = st.builds(Config, positives=st.integers(1, 4), negatives=st.integers(1, 4))


def chosen(case: Case, config: Config, anchor: int, distances: list[float]) -> tuple[list[int], list[int]]:
    farthest = sorted(case.positives(anchor), key=lambda column: -distances[column])[: config.positives]
    nearest = sorted(case.negatives(anchor), key=lambda column: distances[column])[: config.negatives]
    return sorted(farthest), sorted(nearest)


@quick
@given(cases(), configs)
@example(WIDE, Config(positives=3, negatives=4))
def test_the_farthest_positives_with_the_nearest_negatives(case: Case, config: Config) -> None:
    expected = []
    for anchor, distances in enumerate(case.distances.tolist()):
        positives, negatives = chosen(case, config, anchor, distances)
        expected += [(anchor, p, n) for p in positives for n in negatives]
    assert rows_of(NHardMiner(config).triplets(case.distances, case.candidates)) == expected


@quick
@given(cases(), configs)
def test_pairs_are_by_cosine_and_need_no_partner(case: Case, config: Config) -> None:
    positives, negatives = NHardMiner(config)(1 - case.distances, case.candidates)
    wanted = [chosen(case, config, anchor, distances) for anchor, distances in enumerate(case.distances.tolist())]
    assert pairs_of(positives) == [(a, p) for a, (columns, _) in enumerate(wanted) for p in columns]
    assert pairs_of(negatives) == [(a, n) for a, (_, columns) in enumerate(wanted) for n in columns]


@quick
@given(cases())
def test_one_of_each_is_the_hardest(case: Case) -> None:
    one = NHardMiner(Config(positives=1, negatives=1)).triplets(case.distances, case.candidates)
    assert rows_of(one) == rows_of(HardMiner().triplets(case.distances, case.candidates))
