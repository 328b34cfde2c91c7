"""The learning rate at a step: a pure function, so that a resumed run needs nothing but the step to go on."""

import math

from mlcore.config import Constant, Cosine, OneCycle, Optimizer, Plateau, Step

FIRST_SHARE = 1 / 25  # of the peak, where one cycle begins
LAST_SHARE = 1e-4  # of the peak, where it ends


def learning_rate(step: int, steps: int, config: Optimizer, *, drops: int = 0) -> float:
    """The rate of the step after `step` finished ones of `steps`. `drops`: how often a plateau has lowered it."""
    schedule = config.schedule
    rise = schedule.warmup * steps
    if step < rise:
        if isinstance(schedule, OneCycle):
            return config.lr * between(FIRST_SHARE, 1, (1 - math.cos(math.pi * step / rise)) / 2)
        return config.lr * (step + 1) / (rise + 1)
    done = (step - rise) / max(1.0, steps - rise)  # 0..1, after the warm-up
    falling = (1 + math.cos(math.pi * done)) / 2  # 1..0
    match schedule:
        case OneCycle():
            return config.lr * between(LAST_SHARE, 1, falling)
        case Cosine():
            return config.lr * between(schedule.last, 1, falling)
        case Step():
            return config.lr * schedule.factor ** sum(step >= share * steps for share in schedule.at)
        case Plateau():
            return config.lr * schedule.factor**drops
        case Constant():
            return config.lr


def between(low: float, high: float, share: float) -> float:
    return low + (high - low) * share
