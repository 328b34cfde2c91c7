"""Learning rates by step."""

import pytest

from mlcore.config import Constant, Cosine, OneCycle, Optimizer, Plateau, Schedule, Step
from mlcore.schedule import learning_rate


def rates(schedule: Schedule, steps: int = 100) -> list[float]:
    return [learning_rate(step, steps, Optimizer(lr=1e-3, schedule=schedule)) for step in range(steps)]


def test_one_cycle_rises_to_its_peak_and_falls() -> None:
    found = rates(OneCycle(warmup=0.25))
    assert found[0] == pytest.approx(1e-3 / 25)
    assert max(found) == found[25] == pytest.approx(1e-3)
    assert found[-1] < 1e-5
    assert found[:26] == sorted(found[:26])
    assert found[25:] == sorted(found[25:], reverse=True)


def test_cosine_ends_at_its_last_share() -> None:
    found = rates(Cosine(warmup=0.1, last=0.1), steps=1000)
    assert found[100] == max(found) == pytest.approx(1e-3)
    assert found[550] == pytest.approx(1e-3 * (0.1 + 0.9 / 2), rel=1e-6)
    assert found[-1] == pytest.approx(1e-4, rel=1e-3)


def test_steps_drop_at_their_shares() -> None:
    found = rates(Step(at=(0.5, 0.75), factor=0.1))
    assert found[49] == pytest.approx(1e-3)
    assert found[50] == pytest.approx(1e-4)
    assert found[75] == pytest.approx(1e-5)


def test_a_plateau_goes_by_the_drops_it_is_told_of() -> None:
    config = Optimizer(lr=1e-3, schedule=Plateau(factor=0.5))
    assert [learning_rate(10, 100, config, drops=drops) for drops in range(3)] == pytest.approx([1e-3, 5e-4, 2.5e-4])


def test_a_linear_warm_up_never_begins_at_nothing() -> None:
    found = rates(Constant(warmup=0.1))
    assert found[0] == pytest.approx(1e-3 / 11)
    assert found[:11] == sorted(found[:11])
    assert set(found[10:]) == {1e-3}
