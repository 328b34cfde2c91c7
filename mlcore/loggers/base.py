"""What the loggers share: which figures there are, under which names, and that no logger ends a training."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from mlcore.config import Recipe
from mlcore.errors import InputError
from mlcore.events import Event, Message, Started, StepDone, Validated


class Logger:
    """An `OnEvent` that writes a training to `folder`; `close` it at the end.

    Figures by step are `train/loss`, `train/lr`, `train/images_per_second`, `train/` with the loss's inner ones,
    `overall/` with those of each validation, and `sets/NAME/` with those of each further set. Nothing is opened before
    `Started`: of several processes, the one that reports is the one that writes. Of the first failure `say` is told;
    then nothing more is written.
    """

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]  # the first is what `self.package` is

    def __init__(self, folder: Path, recipe: Recipe, say: Callable[[str], None]) -> None:
        self.package = self.load()
        self.folder, self.recipe, self.say = folder, recipe, say
        self.step = 0
        self.is_open, self.has_failed = False, False

    @classmethod
    def load(cls) -> Any:
        """The package. Raises InputError where one that is needed is not installed."""
        try:
            package, *_ = [importlib.import_module(each) for each in cls.packages]
        except ImportError as error:
            text = f"Logging to {cls.name} needs the extra `{cls.name}`: pip install 'kindred[{cls.name}]'. ({error})"
            raise InputError(text) from None
        return package

    def __call__(self, event: Event) -> None:
        if self.has_failed or not (self.is_open or isinstance(event, Started)):
            return
        try:
            self.take(event)
        except Exception as error:  # the packages have errors of their own, and a training is worth more than its log
            self.has_failed = True
            self.say(f"warning: {self.name} logs no more ({first_line(error)}); the training goes on.")

    def take(self, event: Event) -> None:
        match event:
            case Started(first_step=first_step):
                self.step = first_step
                self.folder.mkdir(parents=True, exist_ok=True)
                self.open(first_step)
                self.is_open = True
            case StepDone(step, _, loss, lr, rate, logs):
                self.step = step
                figures = {"loss": loss, "lr": lr, "images_per_second": rate, **logs}
                self.figures(step, {f"train/{name}": value for name, value in figures.items()})
            case Validated(step, metrics, _, sets):
                self.step = step
                figures = {f"overall/{name}": value for name, value in metrics.items()}
                for each, measured in sets.items():
                    figures |= {f"sets/{each}/{name}": value for name, value in measured.items()}
                self.figures(step, figures)
            case Message(text, level):
                self.message(text, level)

    def close(self, *, failed: bool = False) -> None:
        """Writes out what waits. Safe to call again. failed: the training ended by an error."""
        if not self.is_open:
            return
        self.is_open = False
        if self.has_failed:
            with suppress(Exception):  # it has been said
                self.end(failed)
            return
        try:
            self.end(failed)
        except Exception as error:
            self.say(f"warning: {self.name} could not be closed ({first_line(error)}); its last figures may lack.")

    def kept_id(self, first_step: int) -> str | None:
        """The id of the run that a resumed training goes on with."""
        file = self.folder / "run-id.txt"
        return file.read_text() if first_step and file.is_file() else None

    def keep_id(self, run_id: str) -> None:
        (self.folder / "run-id.txt").write_text(run_id)

    def open(self, first_step: int) -> None:
        """Begins a run, or goes on with it after `first_step` steps, and writes the recipe."""
        raise NotImplementedError

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        raise NotImplementedError

    def message(self, text: str, level: str) -> None:
        raise NotImplementedError

    def end(self, failed: bool) -> None:
        raise NotImplementedError


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, bool | int | float | str]]:
    """`loss.margin`, 0.1 and so on; what is neither number nor flag as text.

    >>> dict(flat({"steps": 6, "loss": {"kind": "triplet", "margin": None}}))
    {'steps': 6, 'loss.kind': 'triplet', 'loss.margin': 'None'}
    """
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, bool | int | float) else str(value)
