"""The one call that trains."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pandas as pd
import torch

from mlcore.config import Recipe
from mlcore.data import Source
from mlcore.distributed import join
from mlcore.engine.state import TrainResult
from mlcore.engine.training import Training
from mlcore.engine.validation import ValidationSet, texts, training_faults, training_problems
from mlcore.errors import InputError
from mlcore.events import Event, Message, OnEvent, ShouldStop, Started
from mlcore.table import Severity


def pick_device(asked: str | None) -> str:
    return asked or ("cuda" if torch.cuda.is_available() else "cpu")


def fit(
    recipe: Recipe,
    manifest: pd.DataFrame,
    *,
    source: Source,
    out_dir: Path,
    on_event: OnEvent = lambda event: None,
    should_stop: ShouldStop = lambda: False,
    resume_from: Path | None = None,
    device: str | None = None,
    cache_dir: Path | None = None,
    also: Mapping[str, ValidationSet] = MappingProxyType({}),
    shared_labels: Severity = "error",
) -> TrainResult:
    """Trains `recipe` on the manifest's train rows and keeps the weights that validate best.

    Writes checkpoints and, at the end, `model/` into `out_dir`. With one CPU process the result depends on the recipe
    and the rows alone: stopped, killed and resumed, it is the same to the last bit. Started by `torchrun`, all
    processes train one model; the first one reports and writes.
    cache_dir: where decoded photos are kept, for any number of trainings; by default below `out_dir`.
    also: further sets to validate on, by name; each is measured whenever the manifest's validation rows are, and
    `best_metric` may name one: `sets/NAME/cmc@1`. shared_labels: "warning" takes labels that train and validate too,
    for closed-set evaluation is a choice.
    Raises InputError, before any work, for rows or a recipe that cannot train; every fault is listed. What makes a
    poor training, such as labels whose photos repeat in a batch, is told by messages after the first event.
    """
    problems = training_problems(recipe, manifest, also, shared_labels)
    if faults := training_faults(problems, recipe, also):
        raise InputError("This training cannot start.", faults)
    world = join(device)
    chosen = pick_device(device)
    if chosen == "cuda" and world.size > 1:
        chosen = f"cuda:{world.local_rank}"
        torch.cuda.set_device(chosen)

    def report(event: Event) -> None:
        if not world.is_first:
            return
        on_event(event)
        if isinstance(event, Started) and event.first_step == 0:
            for text in texts(problems, "warning"):
                on_event(Message(text))

    training = Training(
        recipe, manifest, source, out_dir, report, should_stop, chosen, cache_dir or out_dir / "cache", world, also
    )
    return training.run(resume_from)
