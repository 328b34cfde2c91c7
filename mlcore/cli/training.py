"""`train`: a recipe on a table, with its events as lines, as JSON, or as a bar."""

import argparse
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from mlcore.cli.commands import RECIPE
from mlcore.cli.data import all_damage_listed, load_data
from mlcore.cli.evaluation import SHOWN, measure, print_report, validation_rows
from mlcore.cli.opening import cache_dir, embed_rows, open_device, write_json
from mlcore.cli.recipe_text import commented
from mlcore.cli.recipes import fit_preset, load_recipe
from mlcore.cli.screen import Bar, Screen
from mlcore.engine import checkpoints, fit
from mlcore.errors import InputError
from mlcore.events import CheckpointWritten, Event, Message, OnEvent, Started, StepDone, Validated
from mlcore.export import whole
from mlcore.loggers import check_installed, logging_to
from mlcore.model import load_model


def run_train(arguments: argparse.Namespace, screen: Screen) -> int:
    """Trains; Ctrl-C stops after the batch in hand, with a checkpoint to go on from."""
    changes = [*arguments.changes, *([f"workers={arguments.workers}"] if arguments.workers else [])]
    recipe = load_recipe(arguments.recipe, changes)
    check_installed(arguments.log)
    device = open_device(arguments.device)
    out: Path = arguments.out
    found = checkpoints(out)
    if arguments.resume and not found:
        raise InputError(f"{out} holds no checkpoint to go on from. Leave --resume out to begin.")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file. Name a folder.")
    manifest, source = load_data(arguments.data, screen.say, screen.bar("import"))
    recipe, notes = fit_preset(recipe, arguments.recipe, changes, manifest)
    for note in notes:
        screen.say(f"sampler.{note.key} = {note.value}: {note}")
    shown = print_json if arguments.json else on_screen(screen)
    with (
        stop_on_signals() as stop,
        kept_photos(arguments.cache) as photos,
        logging_to(arguments.log, out, recipe, on_event=shown, say=screen.say) as on_event,
        all_damage_listed(manifest, source, screen.bar("look over")),
    ):
        result = fit(
            recipe,
            manifest,
            source=source,
            out_dir=out,
            on_event=on_event,
            should_stop=stop.is_set,
            resume_from=found[-1] if arguments.resume else None,
            device=device,
            cache_dir=photos,
        )
    if int(os.environ.get("RANK", "0")) > 0:
        return 0  # of torchrun's processes the first alone writes and reports
    if result.model_dir is None:
        screen.say(f"Stopped after step {result.steps}. Go on with --resume.")
        return 0
    with whole(result.model_dir / RECIPE) as partial:
        partial.write_text(commented(recipe, "What this model was trained by."), encoding="utf-8")
    rows = validation_rows(manifest)
    embeddings = embed_rows(load_model(result.model_dir, device), rows, source, arguments, screen)
    report = measure(embeddings, rows, screen)
    write_json(out / "report.json", report.to_json())
    if arguments.json:
        print(json.dumps({"event": "Finished", "result": asdict(result), "report": report.to_json()}, default=str))
    else:
        print(f"{result.steps} steps in {result.seconds:.1f} s; best at step {result.best_step}: {out / 'model'}")
        print_report(report)
    return 0


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Inside, Ctrl-C and SIGTERM set the event instead of ending the process."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def kept_photos(asked: str | None) -> Iterator[Path]:
    """Where decoded photos are kept; without a cache, for as long as the training runs and no longer."""
    folder = cache_dir(asked)
    if folder is not None:
        yield folder
        return
    with TemporaryDirectory(prefix="kindred-photos-") as temporary:
        yield Path(temporary)


def print_json(event: Event) -> None:
    print(json.dumps({"event": type(event).__name__, **asdict(event)}), flush=True)


def on_screen(screen: Screen) -> OnEvent:
    """Events as lines; on a terminal, steps as one bar."""
    bar: Bar = screen.bar("train")

    def show(event: Event) -> None:
        nonlocal bar
        match event:
            case Started(total, first, device, parameters):
                screen.say(f"training on {device}: {parameters / 1e6:.1f} M parameters, steps {first + 1} to {total}")
                bar = screen.bar("train")
            case StepDone(step, total, loss, lr, rate) if screen.bars:
                bar(step, total, f"loss {loss:.4f}  lr {lr:.2e}  {rate:.0f} images/s")
            case StepDone(step, total, loss, lr, rate):
                screen.say(f"step {step}/{total}  loss {loss:.4f}  lr {lr:.2e}  {rate:.0f} images/s")
            case Validated(step, metrics, is_best):
                figures = "  ".join(f"{name} {metrics[name]:.4f}" for name in SHOWN if name in metrics)
                screen.say(f"validated at step {step}: {figures}{'  (best so far)' if is_best else ''}")
            case CheckpointWritten(step, path):
                screen.say(f"checkpoint of step {step}: {path}")
            case Message(text, level):
                screen.say(text if level == "info" else f"{level}: {text}")

    return show
