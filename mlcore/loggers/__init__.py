"""A training's figures in TensorBoard, MLflow or Weights & Biases (an extra of the same name each).

    with logging_to(["tensorboard"], out_dir, recipe, say=print) as on_event:
        fit(recipe, manifest, source=source, out_dir=out_dir, on_event=on_event)

They write below the training's folder and need no network and no account, unless the package's own environment
variables say otherwise (`MLFLOW_TRACKING_URI`, `WANDB_MODE`). A training goes on without a logger that fails.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlcore.config import Recipe
from mlcore.events import Event, OnEvent
from mlcore.loggers.base import Logger
from mlcore.loggers.mlflow import MLflow
from mlcore.loggers.tensorboard import TensorBoard
from mlcore.loggers.wandb import WandB

__all__ = ["LOGGERS", "Logger", "MLflow", "TensorBoard", "WandB", "check_installed", "logging_to"]

LOGGERS: dict[str, type[Logger]] = {logger.name: logger for logger in (TensorBoard, MLflow, WandB)}


def check_installed(names: Sequence[str]) -> None:
    """Raises InputError that says how to get what a logger needs."""
    for name in names:
        LOGGERS[name].load()


@contextmanager
def logging_to(
    names: Sequence[str],
    out_dir: Path,
    recipe: Recipe,
    *,
    on_event: OnEvent = lambda event: None,
    say: Callable[[str], None],
) -> Iterator[OnEvent]:
    """Inside, events go to `on_event` and then to each logger, which writes to `out_dir/NAME`; after it all are closed.

    say: told, once, of a logger that fails. Raises InputError where a package is not installed.
    """
    loggers = [LOGGERS[name](out_dir / name, recipe, say) for name in dict.fromkeys(names)]

    def send(event: Event) -> None:
        on_event(event)
        for logger in loggers:
            logger(event)

    failed = True
    try:
        yield send
        failed = False
    finally:
        for logger in loggers:
            logger.close(failed=failed)
