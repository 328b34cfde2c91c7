"""The short commands: check, recipe, embed, export. Results go to standard output, all else to standard error."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from mlcore.cli.data import check_data, load_photos, read_data
from mlcore.cli.near import check_near
from mlcore.cli.opening import (
    check_target,
    embed_rows,
    find_model,
    model_folder,
    open_model,
    shared_labels,
    spare_others,
)
from mlcore.cli.recipe_text import commented
from mlcore.cli.recipes import NAMED, load_recipe
from mlcore.cli.screen import Screen
from mlcore.config import Recipe
from mlcore.errors import InputError
from mlcore.export import export_model, whole
from mlcore.model import CONFIG, WEIGHTS
from mlcore.table import BOX, Problem, escape_cell

NOT_SOUGHT = Problem(
    0, "", "Near-duplicates were not looked for.", "Mend the errors, and have it checked again.", "warning"
)
RECIPE = "recipe.yaml"  # beside a model that this command line trained


def run_check(arguments: argparse.Namespace, screen: Screen) -> int:
    """Lists every fault. 2 when one of them is an error."""
    if arguments.threshold is not None and not arguments.near:
        raise InputError("--threshold is that of near-duplicates. Add --near, or leave it out.")
    table, root = read_data(arguments.data)
    shared = shared_labels(arguments)
    problems = check_data(table, root, decode=True, on_progress=screen.bar("decode"), shared_labels=shared)
    errors = sum(problem.severity == "error" for problem in problems)
    if arguments.near:
        problems += check_near(table, root, arguments, screen) if not errors else [NOT_SOUGHT]
    if arguments.json:
        print(json.dumps({"rows": len(table), "problems": [problem.as_dict() for problem in problems]}))
    else:
        for problem in problems:
            print(f"{problem.severity}: {problem}")
        counts = {"row": len(table), "error": errors, "warning": len(problems) - errors}
        print(", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items()))
    return 2 if errors else 0


def run_recipe(arguments: argparse.Namespace, screen: Screen) -> int:
    """Prints a recipe as YAML that explains itself; without a name, the names that there are."""
    if arguments.name is None:
        print(json.dumps(NAMED) if arguments.json else "\n".join(map(in_short, NAMED)))
        return 0
    recipe = load_recipe(arguments.name, arguments.changes)
    if arguments.json:
        print(recipe.model_dump_json())
    else:
        title = f"The recipe {arguments.name}{''.join(f', {change}' for change in arguments.changes)}. "
        print(commented(recipe, title + "Train it by --recipe FILE; what is left out keeps its default."), end="")
    return 0


def in_short(name: str) -> str:
    recipe = load_recipe(name)
    network = getattr(recipe.extractor, "arch", recipe.extractor.kind)
    facts = f"{network}, {recipe.preprocess.size} px, {recipe.loss.kind}"
    return f"{name:10} {facts}, {recipe.steps:,} steps of {recipe.sampler.batch_size}"


def run_embed(arguments: argparse.Namespace, screen: Screen) -> int:
    """Writes the embeddings, and beside them a table of the photo, label and box of each."""
    check_target(arguments.out)
    rows_file = arguments.out.with_name(arguments.out.name.removesuffix(".npy") + ".rows.csv")
    check_target(rows_file)
    for target in (arguments.out, rows_file):
        if target.resolve() == arguments.data.resolve():
            raise InputError(f"{target} is the table itself. Name another file.")
    columns = ["path", "label", *BOX]
    spare_others(rows_file, columns)
    embedder = open_model(arguments)
    manifest, source = load_photos(arguments.data, screen.bar("import"))
    embeddings = embed_rows(embedder, manifest, source, arguments, screen)
    with whole(arguments.out) as partial, partial.open("wb") as file:
        np.save(file, embeddings)
    table = manifest[columns].assign(**manifest[["path", "label"]].map(escape_cell))
    with whole(rows_file) as partial:
        table.to_csv(partial, index=False, lineterminator="\r\n")  # so that either, inside a name, is quoted
    shape = {"rows": len(embeddings), "dimension": embedder.dimension, "space": embedder.space}
    if arguments.json:
        print(json.dumps(shape))
    else:
        print(f"{arguments.out}: {shape['rows']} x {shape['dimension']} float32, space {shape['space']}")
        print(f"{rows_file}: the photo of each row")
    return 0


def spare_model(folder: Path, out: Path) -> None:
    """Raises InputError for a file to be written that is a part of the model in `folder`."""
    if out.resolve() in {(folder / name).resolve() for name in (CONFIG, WEIGHTS, RECIPE)}:
        raise InputError(f"{out} is a part of the model itself. Name another file.")


def run_export(arguments: argparse.Namespace, screen: Screen) -> int:
    check_target(arguments.out)
    folder = model_folder(arguments.model)
    spare_model(folder, arguments.out)
    embedder = find_model(arguments.model)
    recipe = trained_by(folder)
    screen.wait(f"writing {arguments.format}")
    done = export_model(embedder, arguments.format, arguments.out, recipe=recipe)
    screen.clear()
    if recipe is None and folder.exists():
        screen.say(f"{folder} holds no {RECIPE}: the file does not tell how the model was trained.")
    if done.cosine is None:
        screen.say("The vectors were not compared with the model's own: onnxruntime is not installed.")
    if arguments.json:
        print(json.dumps({**asdict(done), "path": str(done.path)}))
    else:
        proof = "" if done.cosine is None else f", its vectors those of the model (lowest cosine {done.cosine:.6f})"
        shape = f"(B, 3, {done.input_size}, {done.input_size}) -> (B, {done.dimension})"
        print(f"{done.path}: {done.format}, {shape}, {done.size_bytes / 1e6:.1f} MB{proof}")
    return 0


def trained_by(folder: Path) -> Recipe | None:
    """The recipe that a training wrote beside its model, if it did."""
    file = folder / RECIPE
    return load_recipe(str(file)) if file.is_file() else None
