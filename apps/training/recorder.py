"""Turns the events of a training into rows, progress and log lines."""

import math
import time
from collections.abc import Mapping

from apps.jobs.context import JobContext
from apps.training.checkpoints import checkpoint_publish
from apps.training.models import Point, Run
from mlcore.events import CheckpointWritten, Event, Message, Started, StepDone, Validated

FLUSH_SECONDS = 1.0


class Recorder:
    """What `engine.fit` calls with each event. Points are written in batches, and before each checkpoint."""

    def __init__(self, context: JobContext, run: Run) -> None:
        self.context, self.run = context, run
        self.points: dict[tuple[str, int], float] = {}
        self.flushed_at = time.monotonic()

    def __call__(self, event: Event) -> None:
        context = self.context
        match event:
            case Started():
                millions = event.parameters / 1e6
                context.log(f"Training on {event.device}: a network of {millions:.1f} million parameters.")
                context.progress(event.first_step, event.total_steps, unit="steps", stage="training")
            case StepDone():
                figures = {"loss": event.loss, "lr": event.lr, "images_per_second": event.images_per_second}
                self.keep(event.step, {**figures, **event.logs})
                context.progress(event.step, event.total_steps, unit="steps", stage="training")
            case Validated():
                self.keep(event.step, event.metrics)
                self.flush()
                self.figures_set(event)
                context.log(self.validation_line(event))
            case CheckpointWritten():
                self.flush()
                self.checkpoint(event)
            case Message():
                if event.level == "warning":
                    self.warn(event.text)
                else:
                    context.log(event.text)
        if time.monotonic() - self.flushed_at >= FLUSH_SECONDS:
            self.flush()

    def keep(self, step: int, figures: Mapping[str, float]) -> None:
        self.points |= {(name, step): value for name, value in figures.items() if math.isfinite(value)}

    def flush(self) -> None:
        """Writes the points that wait. A step that an earlier attempt wrote already is overwritten."""
        self.flushed_at = time.monotonic()
        if not self.points:
            return
        rows = [Point(run=self.run, name=name, step=step, value=value) for (name, step), value in self.points.items()]
        with self.context.fenced():
            Point.objects.bulk_create(
                rows, update_conflicts=True, unique_fields=["run", "name", "step"], update_fields=["value"]
            )
        self.points.clear()

    def figures_set(self, event: Validated) -> None:
        """The run's own figures, so that lists show them while it runs."""
        field = "untrained_metrics" if event.step == 0 else "metrics" if event.is_best else ""
        if field:
            with self.context.fenced():
                setattr(self.run, field, dict(event.metrics))
                self.run.save(update_fields=[field])

    def checkpoint(self, event: CheckpointWritten) -> None:
        """A full disk costs this checkpoint, not the training: the one before stays."""
        try:
            checkpoint_publish(self.context, self.run, event)
        except OSError as error:
            self.warn(f"The checkpoint of step {event.step} could not be kept ({error}); the one before it stays.")
        else:
            self.context.log(f"Step {event.step}: checkpoint kept.")

    def warn(self, text: str) -> None:
        """For the run's page and its log."""
        self.context.log(f"Warning: {text}")
        with self.context.fenced():
            self.run.refresh_from_db(fields=["warnings"])
            if text not in self.run.warnings:
                self.run.warnings = [*self.run.warnings, text]
                self.run.save(update_fields=["warnings"])

    @staticmethod
    def validation_line(event: Validated) -> str:
        figures = ", ".join(f"{name} {event.metrics[name]:.4f}" for name in ("cmc@1", "map@r") if name in event.metrics)
        what = "untrained" if event.step == 0 else "best so far" if event.is_best else "not better"
        return f"Step {event.step}: {figures or 'no figures'} ({what})."
