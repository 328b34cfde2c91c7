"""A training of a few steps with a logger: whole, or stopped and resumed."""

from pathlib import Path

from mlcore.engine import checkpoints, fit
from mlcore.events import Event, Message, StepDone
from mlcore.loggers import logging_to
from tests.mlcore.photos import make_photos, small_recipe

RECIPE = small_recipe(steps=4, validate_every=2, checkpoint_every=1)


def train(name: str, out: Path, *, stop_at: int | None = None, resume: bool = False) -> list[Event]:
    """Its events; a logger that fails raises here."""
    manifest, source = make_photos()
    events: list[Event] = []

    def fail(text: str) -> None:
        raise AssertionError(text)

    with logging_to([name], out, RECIPE, on_event=events.append, say=fail) as on_event:
        fit(
            RECIPE,
            manifest,
            source=source,
            out_dir=out,
            on_event=on_event,
            should_stop=lambda: any(isinstance(each, StepDone) and each.step == stop_at for each in events),
            resume_from=checkpoints(out)[-1] if resume else None,
            device="cpu",
        )
        on_event(Message("Mind the step.", level="warning"))
    return events
