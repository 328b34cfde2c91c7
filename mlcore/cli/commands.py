"""What each command does. Results go to standard output; progress and warnings to standard error."""

import argparse
import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from mlcore.cli.data import check_data, load_data, read_data
from mlcore.cli.recipes import fit_preset, load_recipe
from mlcore.data import Source
from mlcore.embed import embed_manifest
from mlcore.engine import checkpoints, fit, pick_device
from mlcore.errors import InputError
from mlcore.evaluate import Report, evaluate
from mlcore.events import CheckpointWritten, Event, Message, Started, StepDone, Validated
from mlcore.model import Embedder, load_model

SHOWN = ("cmc@1", "precision@5", "map@5", "map@r")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run_check(arguments: argparse.Namespace) -> int:
    """Lists every fault. 2 when one of them is an error."""
    table, root = read_data(arguments.data)
    problems = check_data(table, root, decode=True)
    errors = sum(problem.severity == "error" for problem in problems)
    if arguments.json:
        print(json.dumps({"rows": len(table), "problems": [problem.as_dict() for problem in problems]}))
    else:
        for problem in problems:
            print(f"{problem.severity}: {problem}")
        print(f"{len(table)} rows, {errors} errors, {len(problems) - errors} warnings")
    return 2 if errors else 0


def run_train(arguments: argparse.Namespace) -> int:
    """Trains; Ctrl-C stops after the batch in hand, with a checkpoint to go on from."""
    changes = [*arguments.changes, *([f"workers={arguments.workers}"] if arguments.workers else [])]
    recipe = load_recipe(arguments.recipe, changes)
    manifest, source = load_data(arguments.data, say)
    recipe, notes = fit_preset(recipe, arguments.recipe, changes, manifest)
    for note in notes:
        say(f"sampler.{note.key} = {note.value}: {note}")
    out: Path = arguments.out
    found = checkpoints(out)
    if arguments.resume and not found:
        raise InputError(f"{out} holds no checkpoint to go on from. Leave --resume out to begin.")
    with stop_on_signals() as stop:
        result = fit(
            recipe,
            manifest,
            source=source,
            out_dir=out,
            on_event=print_json if arguments.json else print_event,
            should_stop=stop.is_set,
            resume_from=found[-1] if arguments.resume else None,
            device=arguments.device,
        )
    if result.model_dir is None:
        say(f"Stopped after step {result.steps}. Go on with --resume.")
        return 0
    report = report_on(load_model(result.model_dir, pick_device(arguments.device)), manifest, source, arguments.workers)
    (out / "report.json").write_text(json.dumps(report.to_json(), indent=2))
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


def run_evaluate(arguments: argparse.Namespace) -> int:
    embedder = load_model(arguments.model, pick_device(arguments.device))
    manifest, source = load_data(arguments.data, say)
    report = report_on(embedder, manifest, source, arguments.workers)
    if arguments.out:
        arguments.out.write_text(json.dumps(report.to_json(), indent=2))
    if arguments.json:
        print(json.dumps(report.to_json()))
    else:
        print_report(report)
    return 0


def run_embed(arguments: argparse.Namespace) -> int:
    embedder = load_model(arguments.model, pick_device(arguments.device))
    manifest, source = load_data(arguments.data, say)
    embeddings = embed_manifest(embedder, manifest, source, workers=arguments.workers, on_progress=print_progress)
    with arguments.out.open("wb") as file:
        np.save(file, embeddings)
    shape = {"rows": len(embeddings), "dimension": embedder.dimension, "space": embedder.space}
    if arguments.json:
        print(json.dumps(shape))
    else:
        print(f"{arguments.out}: {shape['rows']} x {shape['dimension']} float32, space {shape['space']}")
    return 0


def report_on(embedder: Embedder, manifest: pd.DataFrame, source: Source, workers: int) -> Report:
    """The report on the validation rows. Raises InputError where there are none to measure."""
    rows = manifest[manifest["split"] == "validation"].reset_index(drop=True)
    if rows.empty:
        raise InputError("There are no validation rows to evaluate. Set split and flags on some labels.")
    embeddings = embed_manifest(embedder, rows, source, workers=workers, on_progress=print_progress)
    return evaluate(embeddings, rows)


def print_report(report: Report) -> None:
    for name, value in report.overall.items():
        print(f"{name:14} {value:.4f}")
    print(", ".join(f"{name.replace('_', ' ')} {count}" for name, count in report.counts.items()))


def print_progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\rembedded {done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def print_json(event: Event) -> None:
    print(json.dumps({"event": type(event).__name__, **asdict(event)}), flush=True)


def print_event(event: Event) -> None:
    match event:
        case Started(total, first, device, parameters):
            say(f"training on {device}: {parameters / 1e6:.1f} M parameters, steps {first + 1} to {total}")
        case StepDone(step, total, loss, lr, rate):
            say(f"step {step}/{total}  loss {loss:.4f}  lr {lr:.2e}  {rate:.0f} images/s")
        case Validated(step, metrics, is_best):
            figures = "  ".join(f"{name} {metrics[name]:.4f}" for name in SHOWN if name in metrics)
            say(f"validated at step {step}: {figures}{'  (best so far)' if is_best else ''}")
        case CheckpointWritten(step, path):
            say(f"checkpoint of step {step}: {path}")
        case Message(text, level):
            say(text if level == "info" else f"{level}: {text}")
