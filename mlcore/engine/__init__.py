"""Training: `fit` is the one call; the loop is in `training`, what a checkpoint holds in `state`."""

from mlcore.engine.fit import fit, pick_device
from mlcore.engine.state import CHECKPOINTS_KEPT, Progress, TrainResult, checkpoints
from mlcore.engine.training import Training
from mlcore.schedule import learning_rate

__all__ = [
    "CHECKPOINTS_KEPT",
    "Progress",
    "TrainResult",
    "Training",
    "checkpoints",
    "fit",
    "learning_rate",
    "pick_device",
]
