"""`convert`: a public dataset, in its authors' layout, as a table beside its photos."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from mlcore.cli.opening import check_target, spare_others
from mlcore.cli.screen import Screen
from mlcore.export import whole
from mlcore.images import image_size
from mlcore.layouts import LAYOUTS, Counts, convert
from mlcore.table import OPTIONAL, REQUIRED, escape_cell

HELP = ", ".join(f"{layout.name} ({layout.title})" for layout in LAYOUTS.values())


def add_convert(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", common: argparse.ArgumentParser
) -> None:
    parser = commands.add_parser("convert", parents=[common], help="write the table of a public dataset")
    parser.add_argument("layout", choices=list(LAYOUTS), help=HELP)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="what the dataset was unpacked into")
    parser.add_argument("--out", type=Path, required=True, help="the CSV to write; into FOLDER, to train on it")
    parser.add_argument(
        "--split",
        choices=["open", "closed"],
        default="open",
        help="cub, cars: open holds half of the labels out; closed is the dataset's own split, all labels in both",
    )
    parser.add_argument("--boxes", action="store_true", help="inshop, cub, cars: crop to the dataset's boxes")
    parser.set_defaults(run=run_convert)


def run_convert(arguments: argparse.Namespace, screen: Screen) -> int:
    """Writes nothing unless every list is sound and every photo there. Notes go to standard error."""
    out: Path = arguments.out
    check_target(out)
    spare_others(out, REQUIRED)  # a slip may name a dataset's own list
    screen.wait("reading lists and looking for photos")
    converted = convert(
        arguments.layout, arguments.folder, split=arguments.split, boxes=arguments.boxes, image_size=image_size
    )
    screen.clear()
    prefix, notes = from_table_to_photos(out, arguments.folder)
    notes = [*converted.notes, *notes]
    write_table(converted.table.assign(path=prefix + converted.table["path"]), out)
    if arguments.json:
        answer = {"path": str(out), "layout": arguments.layout, "split": arguments.split}
        print(json.dumps({**answer, "counts": asdict(converted.counts), "notes": notes}))
        return 0
    print_counts(out, converted.counts)
    for note in notes:
        screen.say(f"note: {note}")
    return 0


def from_table_to_photos(out: Path, folder: Path) -> tuple[str, list[str]]:
    """What to put before the paths, which begin in the dataset's folder; a note where the table will not find them."""
    root, table = folder.resolve(), out.parent.resolve()
    if root.is_relative_to(table):
        way = root.relative_to(table).as_posix()
        return ("" if way == "." else f"{way}/"), []
    return "", [f"Paths are relative to {folder}. Move {out.name} into it: photos are looked for from beside a table."]


def write_table(table: pd.DataFrame, out: Path) -> None:
    """Without the optional columns in which nothing stands."""
    empty = [name for name in OPTIONAL if not table[name].any()]
    with whole(out) as partial:
        table.drop(columns=empty).map(escape_cell).to_csv(partial, index=False)


def print_counts(out: Path, counts: Counts) -> None:
    print(f"{out}: {counts.samples} samples, {counts.labels} labels, {counts.categories} categories")
    print(f"train: {counts.train_samples} samples, {counts.train_labels} labels")
    validation = f"validation: {counts.validation_samples} samples, {counts.validation_labels} labels"
    print(f"{validation}, {counts.queries} queries, {counts.gallery} gallery")
