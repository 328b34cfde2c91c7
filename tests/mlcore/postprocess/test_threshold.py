"""Where lists end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.config.postprocess import AdaptiveThreshold, ConstantThreshold
from mlcore.postprocess import AdaptiveCut, ConstantCut


def table(*lists: list[float]) -> np.ndarray:
    width = max(map(len, lists))
    return np.array([row + [-np.inf] * (width - len(row)) for row in lists], dtype=np.float32)


def naive_cut(scores: list[float], deviations: float, top: int) -> int:
    """How many neighbours stay."""
    near = scores[:top]
    gaps = [near[i] - near[i + 1] for i in range(len(near) - 1)]
    if len(gaps) < 2:
        return len(scores)
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    for place, gap in enumerate(gaps):
        if gap > mean + deviations * deviation + 1e-9:
            return place + 1
    return len(scores)


def test_constant() -> None:
    scores = table([0.9, 0.5, 0.25], [0.2], [0.5, 0.49])
    kept = ConstantCut(ConstantThreshold(least=0.5)).keep(scores)
    assert kept.tolist() == [[True, True, False], [False, False, False], [True, False, False]]


def test_adaptive_by_hand() -> None:
    # Gaps .01, .01, .5, .01, .01: mean .108, deviation .196; .5 is wide by 1.5 deviations, but not by 2.5.
    scores = table([0.99, 0.98, 0.97, 0.47, 0.46, 0.45])
    assert AdaptiveCut(AdaptiveThreshold(deviations=1.5)).keep(scores).tolist() == [[True] * 3 + [False] * 3]
    assert AdaptiveCut(AdaptiveThreshold(deviations=2.5)).keep(scores).all()


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.lists(st.integers(-64, 64), min_size=1, max_size=12), min_size=1, max_size=4),
    st.sampled_from([0.0, 1.0, 1.7]),
    st.integers(2, 8),
)
def test_adaptive_equals_the_naive_loop(numbers: list[list[int]], deviations: float, top: int) -> None:
    lists = [sorted((n / 64 for n in row), reverse=True) for row in numbers]
    scores = table(*lists)
    kept = AdaptiveCut(AdaptiveThreshold(deviations=deviations, top=top)).keep(scores)
    for row, alone, scored in zip(kept, lists, scores, strict=True):
        assert row[: len(alone)].sum() == naive_cut(alone, deviations, top)
        assert (np.diff(row[: len(alone)].astype(int)) <= 0).all()
        one = AdaptiveCut(AdaptiveThreshold(deviations=deviations, top=top)).keep(scored[None])
        np.testing.assert_array_equal(one[0], row)


@pytest.mark.parametrize("scores", [table([0.3]), table([0.9, 0.1]), np.full((1, 1), -np.inf, dtype=np.float32)])
def test_too_few_gaps_keep_the_list(scores: np.ndarray) -> None:
    assert AdaptiveCut(AdaptiveThreshold(deviations=0)).keep(scores).all()


def test_equal_gaps_are_not_wide() -> None:
    scores = np.linspace(0.9, 0.1, 20, dtype=np.float32)[None]
    assert AdaptiveCut(AdaptiveThreshold(deviations=3)).keep(scores).all()
