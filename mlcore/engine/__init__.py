"""Training: `fit` is the one call; the loop is in `training`, what it measures in `validation`."""

from mlcore.engine.fit import fit, pick_device
from mlcore.engine.state import CHECKPOINTS_KEPT, Progress, TrainResult, checkpoints
from mlcore.engine.training import Training
from mlcore.engine.validation import ValidationSet, set_faults
from mlcore.schedule import learning_rate

__all__ = [
    "CHECKPOINTS_KEPT",
    "Progress",
    "TrainResult",
    "Training",
    "ValidationSet",
    "checkpoints",
    "fit",
    "learning_rate",
    "pick_device",
    "set_faults",
]
