"""`train`: a recipe on a table, with its events as lines, as JSON, or as a bar."""

import argparse
import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlcore.cli.commands import RECIPE
from mlcore.cli.data import all_damage_listed, load_tables
from mlcore.cli.evaluation import SHOWN, closed_set, measure, print_closed_set, print_report, validation_rows
from mlcore.cli.opening import cache_dir, check_folder, embed_rows, open_device, shared_labels, write_json
from mlcore.cli.recipes import fit_preset, load_recipe
from mlcore.cli.screen import Bar, Screen
from mlcore.config.text import commented
from mlcore.engine import ValidationSet, checkpoints, fit, set_faults
from mlcore.errors import InputError
from mlcore.evaluate import Report
from mlcore.events import CheckpointWritten, Event, Message, OnEvent, Started, StepDone, Validated
from mlcore.export import whole
from mlcore.loggers import check_installed, logging_to
from mlcore.model import load_model


def run_train(arguments: argparse.Namespace, screen: Screen) -> int:
    """Trains; Ctrl-C stops after the batch in hand, with a checkpoint to go on from."""
    changes = [*arguments.changes, *([f"workers={arguments.workers}"] if arguments.workers else [])]
    recipe = load_recipe(arguments.recipe, changes)
    tables = parse_sets(arguments.validate, recipe.best_metric)
    check_installed(arguments.log)
    device = open_device(arguments.device)
    out: Path = arguments.out
    found = checkpoints(out)
    if arguments.resume and not found:
        raise InputError(f"{out} holds no checkpoint to go on from. Leave --resume out to begin.")
    check_folder(out)
    shared = shared_labels(arguments)
    (manifest, source), *others = load_tables(
        [arguments.data, *tables.values()], screen.say, screen.bar("import"), shared_labels=shared
    )
    also = {name: ValidationSet(*each).held_out() for name, each in zip(tables, others, strict=True)}
    recipe, notes = fit_preset(recipe, arguments.recipe, changes, manifest)
    for note in notes:
        screen.say(f"sampler.{note.key} = {note.value}: {note}")
    shown = print_json if arguments.json else on_screen(screen)
    with (
        stop_on_signals() as stop,
        kept_photos(arguments.cache) as photos,
        logging_to(arguments.log, out, recipe, on_event=shown, say=screen.say) as on_event,
        all_damage_listed({"": ValidationSet(manifest, source), **also}, screen.bar("look over")),
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
            also=also,
            shared_labels=shared,
        )
    if int(os.environ.get("RANK", "0")) > 0:
        return 0  # of torchrun's processes the first alone writes and reports
    if result.model_dir is None:
        screen.say(f"Stopped after step {result.steps}. Go on with --resume.")
        if arguments.json:
            print(json.dumps({"event": "Stopped", "result": asdict(result)}))
        return 0
    with whole(result.model_dir / RECIPE) as partial:
        partial.write_text(commented(recipe, "What this model was trained by."), encoding="utf-8")
    embedder = load_model(result.model_dir, device)
    train = manifest[manifest["split"] == "train"]
    reports: list[tuple[str, Report, dict[str, Any]]] = []
    for name, each in {"": ValidationSet(validation_rows(manifest), source), **also}.items():
        embeddings = embed_rows(embedder, each.manifest, each.source, arguments, screen)
        report = measure(embeddings, each.manifest, screen)
        stated = closed_set(train, each.manifest) if arguments.closed_set else {}
        reports.append((name, report, report.to_json() | stated))
    content = reports[0][2] | ({"sets": {name: each for name, _, each in reports[1:]}} if also else {})
    write_json(out / "report.json", content)
    if arguments.json:
        print(json.dumps({"event": "Finished", "result": asdict(result), "report": content}, default=str))
        return 0
    print(f"{result.steps} steps in {result.seconds:.1f} s; best at step {result.best_step}: {out / 'model'}")
    for name, report, written in reports:
        if name:
            print(f"validation set {name}")
        print_report(report)
        print_closed_set(written)
    return 0


def parse_sets(texts: Sequence[str], best_metric: str) -> dict[str, Path]:
    """Tables by name from `NAME=TABLE`. Raises InputError that lists every fault."""
    tables: dict[str, Path] = {}
    problems: list[str] = []
    for text in texts:
        name, _, table = text.partition("=")
        if not table:
            problems.append(f"--validate {text} names no table. Write it as NAME=TABLE.")
        elif name in tables:
            problems.append(f"--validate has two sets named {name}. Give each a name of its own.")
        else:
            tables[name] = Path(table)
    problems += set_faults(best_metric, tables)
    if problems:
        raise InputError("The validation sets are not valid.", problems)
    return tables


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
            case Validated(step, metrics, is_best, sets):
                screen.say(f"validated at step {step}: {headline(metrics)}{'  (best so far)' if is_best else ''}")
                for name, figures in sets.items():
                    screen.say(f"  {name}: {headline(figures)}")
            case CheckpointWritten(step, path):
                screen.say(f"checkpoint of step {step}: {path}")
            case Message(text, level):
                screen.say(text if level == "info" else f"{level}: {text}")

    return show


def headline(metrics: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {metrics[name]:.4f}" for name in SHOWN if name in metrics)
