"""Every fault of a table, with its row, its column and its remedy. No torch."""

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from mlcore.matches import Gallery, Ints, Rows, codes
from mlcore.table.problem import Problem, Severity
from mlcore.table.read import BOX, OVERFLOW, REQUIRED, box_of, clean_path, flag, normalise_table, row_numbers

Exists = Callable[[str], bool]
ImageSize = Callable[[str], tuple[int, int] | None]
MAX_LENGTH = {"label": 200, "category": 200, "sequence": 200, "path": 1000}  # characters


def check_table(
    frame: pd.DataFrame,
    *,
    exists: Exists | None = None,
    image_size: ImageSize | None = None,
    shared_labels: Severity = "error",
) -> list[Problem]:
    """Every fault of a table as `read_table` or `table_from_folder` gives it, in order of rows; [] when it is sound.

    exists: whether a path names a file. image_size: (width, height) of a file in pixels after EXIF rotation, None when
    unreadable; asked only for rows with a box. shared_labels: what a label in both splits is, for closed-set
    evaluation is a choice. Warnings: labels with one sample, queries that nothing can match, a file in both splits.
    """
    missing = [name for name in REQUIRED if name not in frame]
    if missing:
        have = ", ".join(map(str, frame.columns)) or "none"
        remedy = f"Add it to the header. The columns found are: {have}."
        return [Problem(1, name, f"The column {name} is missing.", remedy) for name in missing]
    if frame.empty:
        return [Problem(0, "", "The table has a header but no rows.", "Add one row per sample.")]
    frame = frame.fillna("")
    numbers = row_numbers(frame)
    problems = [
        problem
        for number, row in zip(numbers, frame.to_dict("records"), strict=True)
        for problem in check_row(number, row, exists, image_size)
    ]
    problems += check_duplicates(frame, numbers)
    table = normalise_table(frame).assign(row=numbers)
    problems += check_labels(table, shared_labels)
    problems += check_matches(table, table_rows(table))
    return sorted(problems, key=lambda problem: problem.row)


def check_row(
    number: int, row: dict[Any, str], exists: Exists | None, image_size: ImageSize | None
) -> Iterator[Problem]:
    """The faults that a row has by itself."""
    if not row["label"]:
        yield Problem(number, "label", "The label is empty.", "Name the identity, or remove the row.")
    for name, limit in MAX_LENGTH.items():
        if len(row.get(name, "")) > limit:
            text = f"The {name} has {len(row[name])} characters; at most {limit} are kept."
            yield Problem(number, name, text, "Shorten it.")
    if row.get(OVERFLOW):
        text = f"The row is longer than the header: “{row[OVERFLOW]}” is left over."
        yield Problem(number, "", text, "Put cells that contain the delimiter in quotes.")
    yield from check_split(number, row)
    path = row["path"]
    if not path:
        yield Problem(number, "path", "The path is empty.", "Name the image file.")
        return
    clean = clean_path(path)
    parts = PurePosixPath(clean)
    if parts.is_absolute() or ".." in parts.parts or path[1:2] == ":":
        yield Problem(number, "path", f"{path} leads outside the upload.", "Write it relative to the table.")
        return
    there = exists is None or exists(clean)
    if not there:
        yield Problem(number, "path", f"{path} is not in the upload.", "Add the file, or correct the path.")
    yield from check_box(number, row, clean, image_size if there else None)


def check_split(number: int, row: dict[Any, str]) -> Iterator[Problem]:
    """The split's word, and that its flags go with it."""
    split = row["split"].lower()
    if split not in ("train", "validation"):
        yield Problem(number, "split", f"The split is “{row['split']}”.", "Write train or validation.")
    flags = {name: flag(row[name]) for name in ("is_query", "is_gallery")}
    for name, value in flags.items():
        if value is None:
            yield Problem(number, name, f"“{row[name]}” is no flag.", "Write True or False, or leave it empty.")
        elif value and split == "train":
            yield Problem(number, name, f"A train row has {name} set.", "Leave both flags of train rows empty.")
    if split == "validation" and not any(flags.values()) and None not in flags.values():
        remedy = "Set is_query, is_gallery or both to True."
        yield Problem(number, "is_query", "A validation row must search or be searched.", remedy)


def check_box(number: int, row: dict[Any, str], path: str, image_size: ImageSize | None) -> Iterator[Problem]:
    """A box is four numbers that describe a piece of the photo; or four empty cells."""
    cells = [row.get(name, "") for name in BOX]
    empty = [name for name, cell in zip(BOX, cells, strict=True) if not cell]
    if 0 < len(empty) < 4:
        text = f"The box lacks {', '.join(empty)}."
        yield Problem(number, empty[0], text, "Give all four in pixels, or none.")
        return
    try:
        box = box_of(cells)
    except ValueError:
        yield Problem(number, "x_1", f"The box ({', '.join(cells)}) is not four numbers.", "Give all four in pixels.")
        return
    if box is None:
        return
    x_1, y_1, x_2, y_2 = box
    for name, value in (("x_1", x_1), ("y_1", y_1)):
        if value < 0:
            yield Problem(number, name, f"The box begins outside the photo: {name} is {value}.", "Make it 0 or more.")
    for low, high, first, last in (("x_1", "x_2", x_1, x_2), ("y_1", "y_2", y_1, y_2)):
        if first >= last:
            text = f"The box is empty or inverted: {low} is {first}, {high} is {last}."
            yield Problem(number, high, text, f"Make {high} greater than {low}, in whole pixels.")
    size = image_size(path) if image_size is not None else None
    if size is None:
        return
    for name, value, limit in (("x_2", x_2, size[0]), ("y_2", y_2, size[1])):
        if value > limit:
            text = f"The box ends outside the photo: {name} is {value}, the photo is {size[0]} x {size[1]} pixels."
            yield Problem(number, name, text, "Draw the box inside the photo, after EXIF rotation.")


def check_duplicates(frame: pd.DataFrame, numbers: list[int]) -> Iterator[Problem]:
    """The same file and box twice; the same file, with other boxes, in both splits."""
    boxes = [frame[name] if name in frame else [""] * len(frame) for name in BOX]
    paths = [clean_path(path) if path else "" for path in frame["path"]]
    seen: dict[tuple[object, ...], int] = {}
    splits: dict[str, dict[str, int]] = {}
    for number, path, split, *cells in zip(numbers, paths, frame["split"], *boxes, strict=True):
        if not path:
            continue
        try:
            box: object = box_of(cells)
        except ValueError:
            box = tuple(cells)
        first = seen.setdefault((path, box), number)
        if first != number:
            text = f"{path} is already in row {first}" + (", with the same box." if box else ".")
            yield Problem(number, "path", text, "Remove one of them, or give each its own box.")
        splits.setdefault(path, {}).setdefault(split.lower(), number)
    for path, rows in splits.items():
        if "train" in rows and "validation" in rows:
            text = f"{path} is also in the train split, in row {rows['train']}: its boxes share one background."
            remedy = "Put all boxes of a photo into one split."
            yield Problem(rows["validation"], "split", text, remedy, "warning")


def check_labels(table: pd.DataFrame, shared_labels: Severity) -> Iterator[Problem]:
    """What only the whole table shows: labels in both splits, with two categories, with a single sample."""
    named = table[table["label"] != ""]
    for label, rows in named.groupby("label", sort=False):
        splits = set(rows["split"])
        first = int(rows["row"].iloc[0])
        if {"train", "validation"} <= splits:
            at = int(rows.loc[rows["split"] == "validation", "row"].iloc[0])
            text = f"The label {label} is in both splits, which flatters the figures."
            yield Problem(at, "split", text, "Put all its samples into one split.", shared_labels)
        names = [name for name in dict.fromkeys(rows["category"]) if name]
        if len(names) > 1:
            text = f"The label {label} has {len(names)} categories: {', '.join(names[:3])}."
            yield Problem(first, "category", text, "Give a label at most one category.")
        # A validation query alone is reported by check_matches; alone in the gallery, a label is a fair distractor.
        if len(rows) == 1 and splits != {"validation"}:
            text = f"The label {label} has one sample, from which little can be learned."
            yield Problem(first, "label", text, "Add photos of it, or remove it.", "warning")


def table_rows(table: pd.DataFrame) -> Rows:
    """The identities of a typed table's rows; a photo is known by its path here, for its bytes were not read."""
    groups = table[["path", *BOX]].fillna(-1).groupby(["path", *BOX], sort=False)
    photos = groups.ngroup().to_numpy().astype(np.int64)
    return Rows(np.arange(len(table)), codes(table["label"]), photos, codes(table["sequence"]))


def matchless_queries(table: pd.DataFrame, rows: Rows) -> tuple[pd.DataFrame, int]:
    """The validation queries that nothing in the gallery can match, and how many queries there are in all.

    table: split, is_query and is_gallery typed; rows: its identities.
    """
    validation = (table["split"] == "validation").to_numpy(bool)
    is_query = validation & table["is_query"].to_numpy(bool)
    is_gallery = validation & table["is_gallery"].to_numpy(bool)
    relevant: Ints = Gallery(rows.take(is_gallery)).relevant(rows.take(is_query))
    return table[is_query][relevant == 0], int(is_query.sum())


def check_matches(table: pd.DataFrame, rows: Rows) -> Iterator[Problem]:
    """Queries without a match: a warning for each, one error when that is all of them."""
    if not (table["split"] == "validation").any():
        return
    alone, queries = matchless_queries(table, rows)
    if len(alone) == queries:
        text = "No query has a match in the gallery, so nothing can be measured."
        remedy = "Give validation labels two samples or more: one in the query, another in the gallery."
        yield Problem(0, "is_gallery", text, remedy)
        return
    for row, label in zip(alone["row"], alone["label"], strict=True):
        text = f"This query of {label} has no match in the gallery but itself and its own sequence."
        yield Problem(int(row), "is_query", text, "Add a gallery sample; till then no report counts it.", "warning")
