"""Where the curve, its marks and its ticks lie."""

from collections.abc import Sequence

import pytest

from apps.reports.det import DetCurve, det_curve
from apps.reports.models import Evaluation


def curve_of(*roc: tuple[float, float], points: Sequence[tuple[float, float]] = ()) -> DetCurve:
    """Of (FMR, FNMR), those of the operating points by falling FMR."""
    verification = {
        "impostor": 1000,
        "points": [
            {"wanted_fmr": fmr, "threshold": 0.5, "false_match_rate": fmr, "fnmr": fnmr} for fmr, fnmr in points
        ],
        "roc": [[step / 10, fmr, fnmr] for step, (fmr, fnmr) in enumerate(roc)],
    }
    found = det_curve(Evaluation(extras={"verification": verification}))
    assert found is not None
    return found


def places(found: DetCurve) -> list[tuple[float, float]]:
    return [(x, y) for x, y, _ in found.marks]


def test_places_follow_the_log_of_fmr_and_fnmr() -> None:
    found = curve_of((0.001, 0.8), (0.01, 0.4), (0.1, 0.2), (1, 0))
    assert found.line == "0.0,20.0 33.33,60.0 66.67,80.0 100.0,100.0"
    assert found.highest == 0.8
    assert found.fmr_ticks == [(100.0, "100 %"), (66.67, "10 %"), (33.33, "1 %"), (0.0, "0.1 %")]
    texts = ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]
    assert found.fnmr_ticks == list(zip([100, 80, 60, 40, 20, 0], texts, strict=True))


def test_the_points_of_the_table_lie_on_the_line() -> None:
    found = curve_of((0.001, 0.8), (0.1, 0.2), (1, 0), points=[(0.1, 0.2), (0.01, 0.6)])
    assert places(found) == [(66.67, 80.0), (33.33, 40.0)]
    assert found.line == "0.0,20.0 33.33,40.0 66.67,80.0 100.0,100.0"


def test_what_has_no_fmr_stands_on_the_left_edge() -> None:
    """Of the curve only the last such point, the best threshold there."""
    found = curve_of((0, 1), (0, 0.08), (0.02, 0.04), (1, 0), points=[(0, 0.06)])
    assert places(found) == [(0.0, 40.0)]
    assert found.line == "0.0,40.0 15.05,60.0 100.0,100.0"
    assert found.highest == 0.06
    assert found.fmr_ticks[-1] == (0.0, "≤ 1 %")
    assert found.fnmr_ticks[-1] == (0.0, "10 %")


def test_an_axis_has_five_decades_at_most_and_one_at_least() -> None:
    far = curve_of((1e-9, 0.9), (1e-6, 0.5), (1e-4, 0.3), (1, 0))
    assert far.line == "0.0,0.0 20.0,40.0 100.0,100.0"
    assert [text for _, text in far.fmr_ticks] == ["100 %", "10 %", "1 %", "0.1 %", "0.01 %", "≤ 0.001 %"]
    constant_model = curve_of((1, 0), points=[(0, 1)])
    assert constant_model.line == "0.0,0.0 100.0,100.0"
    assert [text for _, text in constant_model.fmr_ticks] == ["100 %", "≤ 10 %"]


@pytest.mark.parametrize("extras", [{}, {"verification": {"points": [], "roc": []}}, {"verification_left_out": {}}])
def test_without_a_curve_there_is_nothing_to_draw(extras: dict) -> None:
    assert det_curve(Evaluation(extras=extras)) is None
