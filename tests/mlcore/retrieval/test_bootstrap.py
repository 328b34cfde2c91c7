"""Intervals: against one resample at a time, against statistics, and by label."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.retrieval import bootstrap
from mlcore.retrieval.bootstrap import Bootstrap, ratio_intervals


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.booleans())
def test_equals_one_resample_at_a_time(seed: int, count: int, by_label: bool) -> None:
    rng = np.random.default_rng(seed)
    sums, sizes, labels = rng.random((count, 2)), rng.integers(1, 5, count).astype(float), rng.integers(0, 4, count)
    how = Bootstrap(resamples=40, confidence=0.8, by_label=by_label, seed=seed)
    groups = (
        [np.flatnonzero(labels == label) for label in np.unique(labels)] if by_label else [[i] for i in range(count)]
    )
    draws = np.random.default_rng(seed).integers(0, len(groups), (40, len(groups)))
    figures = []
    for draw in draws:
        places = [place for group in draw for place in groups[group]]
        figures.append([sum(sums[places, m]) / sum(sizes[places]) for m in (0, 1)])
    low, high = np.quantile(figures, [0.1, 0.9], axis=0)
    for m, interval in enumerate(ratio_intervals(sums, sizes, labels, how)):
        assert interval == pytest.approx((low[m], high[m]))


def test_a_mean_has_the_interval_of_statistics() -> None:
    values = (np.arange(2000) % 4 == 0).astype(float)[:, None]
    ((low, high),) = ratio_intervals(values, np.ones(2000), None, Bootstrap(resamples=2000))
    error = 1.96 * np.sqrt(0.25 * 0.75 / 2000)
    assert (low, high) == pytest.approx((0.25 - error, 0.25 + error), abs=0.15 * error)


def test_queries_that_are_alike_make_it_wider_by_label() -> None:
    labels = np.repeat(np.arange(50), 10)
    values = (labels % 2).astype(float)[:, None]
    width = {
        by_label: np.diff(ratio_intervals(values, np.ones(500), labels, Bootstrap(by_label=by_label)))[0, 0]
        for by_label in (False, True)
    }
    assert width[True] > 2.5 * width[False]  # sqrt(10) in theory


def test_the_same_seed_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((30, 3))
    first = ratio_intervals(values, np.ones(30), None, Bootstrap())
    assert ratio_intervals(values, np.ones(30), None, Bootstrap()) == first
    assert ratio_intervals(values, np.ones(30), None, Bootstrap(seed=1)) != first
    for at_once in (60, 10):  # two resamples at once, and one, for which there is no room
        monkeypatch.setattr(bootstrap, "DRAWS_AT_ONCE", at_once)
        again = ratio_intervals(values, np.ones(30), None, Bootstrap())
        assert np.allclose(again, first, atol=0.02)


def test_one_query_or_none() -> None:
    assert ratio_intervals(np.array([[0.3]]), np.ones(1), None, Bootstrap(resamples=1)) == [(0.3, 0.3)]
    assert ratio_intervals(np.zeros((0, 2)), np.zeros(0), None, Bootstrap()) == []


@pytest.mark.parametrize("bad", [{"resamples": 0}, {"confidence": 1.0}, {"confidence": 0.0}])
def test_bad_settings_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="confidence between 0 and 1"):
        Bootstrap(**bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="label of each query"):
        ratio_intervals(np.zeros((2, 1)), np.ones(2), None, Bootstrap(by_label=True))
