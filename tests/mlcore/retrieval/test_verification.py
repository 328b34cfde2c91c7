"""Verification against naive loops over all pairs, exclusions, ties and edges among them."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.retrieval import Rows, verification
from mlcore.retrieval.verification import Verification, verify
from tests.mlcore.retrieval.conftest import clusters, make_rows, random_rows, unit

FMRS = (0.0, 0.001, 0.1, 0.29, 0.5, 1.0)


def naive_pairs(queries: np.ndarray, gallery: np.ndarray, q: Rows, g: Rows) -> tuple[list, list]:
    """(query, distance) of genuine pairs, and distances of impostor pairs, in float64 from similarities in float32."""
    genuine, impostor = [], []
    for i in range(len(q)):
        for j in range(len(g)):
            same_burst = q.sequences[i] >= 0 and q.sequences[i] == g.sequences[j]
            if q.ids[i] == g.ids[j] or (q.photos[i] >= 0 and q.photos[i] == g.photos[j]) or same_burst:
                continue
            if q.labels[i] < 0 or g.labels[j] < 0:
                continue
            similarity = np.float32(sum(float(a) * float(b) for a, b in zip(queries[i], gallery[j], strict=True)))
            if q.labels[i] == g.labels[j]:
                genuine.append((i, 1.0 - float(similarity)))
            else:
                impostor.append(1.0 - float(similarity))
    return genuine, impostor


def check(found: Verification, genuine: list, impostor: list, queries: int) -> None:
    assert (found.genuine, found.impostor) == (len(genuine), len(impostor))
    assert found.query_genuine.tolist() == [sum(i == row for i, _ in genuine) for row in range(queries)]
    if not genuine or not impostor:
        assert found.points == []
        assert found.roc.shape == (0, 3)
        return
    assert [point.wanted_fmr for point in found.points] == list(FMRS)
    in_order = sorted(impostor)
    for column, point in enumerate(found.points):
        number = int(Fraction(str(point.wanted_fmr)) * len(impostor))
        threshold = in_order[number] if number < len(impostor) else np.inf
        assert point.threshold == threshold
        assert point.false_match_rate == sum(d < threshold for d in impostor) / len(impostor)
        assert point.false_match_rate <= point.wanted_fmr
        misses = [sum(i == row and d >= threshold for i, d in genuine) for row in range(queries)]
        assert found.query_misses[:, column].tolist() == misses
        assert point.fnmr == sum(misses) / len(genuine)
    for threshold, fmr, fnmr in found.roc:
        assert fmr == pytest.approx(sum(d < threshold for d in impostor) / len(impostor), abs=1e-12)
        assert fnmr == pytest.approx(sum(d >= threshold for _, d in genuine) / len(genuine), abs=1e-12)
    assert (np.diff(found.roc, axis=0) * [1, 1, -1] >= 0).all()
    assert found.roc[-1, 1:].tolist() == [1, 0]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 14), tile=st.sampled_from([1, 4, 100]), tied=st.booleans())
def test_equals_the_naive_loops(seed: int, count: int, tile: int, tied: bool) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit(rng.integers(-1, 2, (count, 3)) + 1e-3) if tied else unit(rng.standard_normal((count, 3)))
    rows = random_rows(rng, count)
    rows = Rows(rows.ids, rng.integers(-1, 3, count), rows.photos, rows.sequences)
    is_query, is_gallery = (rng.random(count) < 0.7 for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "TILE", tile)
        for left, right in ((is_query, is_gallery), (np.ones(count, dtype=bool),) * 2):
            sides = vectors[left], vectors[right], rows.take(left), rows.take(right)
            check(verify(*sides, FMRS), *naive_pairs(*sides), int(left.sum()))


def test_many_pairs_in_one_bin() -> None:
    """Similarities so close that the upper half of their bits is one: the lower half decides."""
    rng = np.random.default_rng(2)
    vectors = unit(unit(rng.standard_normal((1, 16))) + 1e-3 * rng.standard_normal((30, 16)))
    rows = make_rows(30, labels=[number // 3 for number in range(30)])
    found = verify(vectors, vectors, rows, rows, FMRS)
    check(found, *naive_pairs(vectors, vectors, rows, rows), 30)
    assert len(found.roc) < 10


def test_by_halves_it_is_the_same() -> None:
    rng = np.random.default_rng(3)
    vectors, rows = clusters(rng, 300, 16), random_rows(rng, 300)
    queries = rows.take(slice(None))
    whole = verify(vectors, np.ascontiguousarray(vectors), queries, rows, FMRS)
    order = rng.permutation(300)  # in another order it is not seen that both sides are the same
    other = verify(vectors[order], vectors, rows.take(order), rows, FMRS)
    assert whole.points == other.points
    np.testing.assert_array_equal(whole.query_misses[order], other.query_misses)
    np.testing.assert_allclose(whole.roc, other.roc)


def test_a_constant_model_tells_nothing_apart() -> None:
    vectors = np.repeat(unit(np.ones((1, 4))), 9, axis=0)
    rows = make_rows(9, labels=[number // 3 for number in range(9)])
    (point,) = verify(vectors, vectors, rows, rows, (0.01,)).points
    assert (point.false_match_rate, point.fnmr) == (0.0, 1.0)


def test_one_kind_of_pair_alone_gives_no_point() -> None:
    vectors = unit(np.eye(3))
    for labels in ([0, 0, 0], [0, 1, 2], [-1, -1, -1]):
        rows = make_rows(3, labels=labels)
        found = verify(vectors, vectors, rows, rows, (0.1,))
        assert (found.points, found.roc.shape, found.query_misses.shape) == ([], (0, 3), (3, 0))


def test_json_has_units_and_no_infinity() -> None:
    rng = np.random.default_rng(4)
    vectors = clusters(rng, 40, 8)
    rows = make_rows(40, labels=[number // 4 for number in range(40)])
    written = json.loads(json.dumps(verify(vectors, vectors, rows, rows, (0.1, 1.0)).to_json(), allow_nan=False))
    assert written["unit"] == "cosine distance"
    assert written["genuine"] == 40 * 3
    assert [point["threshold"] is None for point in written["points"]] == [False, True]


@pytest.mark.parametrize("fmr", [-0.1, 1.1])
def test_rates_beyond_0_and_1_are_refused(fmr: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        verify(np.zeros((0, 2)), np.zeros((0, 2)), make_rows(0), make_rows(0), (fmr,))
