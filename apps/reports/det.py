"""The ROC of a report drawn as a DET curve: FNMR, which stays linear, by FMR on a log axis (Martin et al. 1997)."""

import math
from bisect import bisect_right
from dataclasses import dataclass

from apps.reports.models import Evaluation
from apps.reports.selectors import OperatingPoint, operating_points

MOST_DECADES = 5  # of FMR: more of them would leave their names no room on a phone
TOPS = (0.05, 0.1, 0.2, 0.5, 1.0)  # of FNMR, where its axis may end
STEPS = 5  # between the ticks of FNMR


@dataclass(frozen=True)
class DetCurve:
    """Places are in percents of the plot: `x` of its width, from the left, `y` of its height, from the top."""

    line: str  # "x,y x,y"
    highest: float  # FNMR where the line begins, 0..1
    marks: list[tuple[float, float, OperatingPoint]]  # x, y
    fmr_ticks: list[tuple[float, str]]  # x
    fnmr_ticks: list[tuple[float, str]]  # y


def det_curve(evaluation: Evaluation) -> DetCurve | None:
    """None for a report without a curve. What has a lower FMR than the axis, or none, stands on the left edge."""
    roc = evaluation.extras.get("verification", {}).get("roc")
    if not roc:
        return None
    points = operating_points(evaluation)
    # The points are exact, and where the curve is coarse they lie beside a line without them.
    found = {(fmr, fnmr) for _, fmr, fnmr in roc} | {(point.false_match_rate, point.fnmr) for point in points}
    curve = sorted(found, key=lambda rates: (rates[0], -rates[1]))
    least = next(fmr for fmr, _ in curve if fmr > 0)  # the last threshold lets all pass
    decades = min(MOST_DECADES, max(1, math.ceil(-math.log10(least))))
    edge = 10.0**-decades
    left = "≤ " if curve[0][0] < edge else ""
    curve = curve[max(0, bisect_right([fmr for fmr, _ in curve], edge) - 1) :]
    top = next(top for top in TOPS if top >= max([curve[0][1], *(point.fnmr for point in points)]))

    def x(fmr: float) -> float:
        return round(100 * (1 + math.log10(max(fmr, edge)) / decades), 2)

    def y(fnmr: float) -> float:
        return round(100 * (1 - fnmr / top), 2)

    return DetCurve(
        line=" ".join(f"{x(fmr)},{y(fnmr)}" for fmr, fnmr in curve),
        highest=curve[0][1],
        marks=[(x(point.false_match_rate), y(point.fnmr), point) for point in points],
        fmr_ticks=[
            (x(10.0**-power), f"{left if power == decades else ''}{100 * 10.0**-power:g} %")
            for power in range(decades + 1)
        ],
        fnmr_ticks=[(y(top * step / STEPS), f"{100 * top * step / STEPS:g} %") for step in range(STEPS + 1)],
    )
