"""Every fault of a table, with its row, its column and its remedy. No torch."""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from mlcore.matches import Gallery, Ints, Rows, codes
from mlcore.table.limits import HEADER, KNOWN, REQUIRED, header_text
from mlcore.table.problem import MAX_LISTED, UNSTORABLE, Problem, Severity, capped, shown
from mlcore.table.read import BOX, OVERFLOW, box_of, clean_path, flag, normalise_table, row_numbers

Exists = Callable[[str], bool]
ImageSize = Callable[[str], tuple[int, int] | None]
MAX_LENGTH = {"label": 200, "category": 200, "sequence": 200, "path": 1000}  # characters
CHUNK_ROWS = 10_000


def check_table(
    frame: pd.DataFrame,
    *,
    exists: Exists | None = None,
    image_size: ImageSize | None = None,
    shared_labels: Severity = "error",
    most: int | None = MAX_LISTED,
) -> list[Problem]:
    """Every fault of a table as `read_table` or `table_from_folder` gives it, in order of rows; [] when it is sound.

    exists: whether a path names a file. image_size: (width, height) of a file in pixels after EXIF rotation, None when
    unreadable; asked only for rows with a box. shared_labels: what a label in both splits is, for closed-set
    evaluation is a choice. most: how many errors, and how many warnings, are listed; past that they are counted by a
    problem of row 0. Warnings: labels with one sample, queries that nothing can match, a file in both splits.
    """
    missing = [name for name in REQUIRED if name not in frame]
    if missing:
        have = frame.attrs.get(HEADER) or header_text(frame.columns) or "none"
        remedy = f"Add it to the header. The columns found are: {have}."
        return [Problem(1, name, f"The column {name} is missing.", remedy) for name in missing]
    if frame.empty:
        return [Problem(0, "", "The table has a header but no rows.", "Add one row per sample.")]
    problems = capped(faults(frame.fillna(""), exists, image_size, shared_labels), most)
    return sorted(problems, key=lambda problem: problem.row)


def faults(
    frame: pd.DataFrame, exists: Exists | None, image_size: ImageSize | None, shared_labels: Severity
) -> Iterator[Problem]:
    """The faults of the cells, of the rows, and of the whole."""
    numbers = row_numbers(frame)
    for name in (name for name in KNOWN if name in frame):
        cells = frame[name].tolist()
        bad_cells = unstorable_cells(cells)
        for at, bad in bad_cells.items():
            if name in MAX_LENGTH:  # in others it is no flag or number, which is told below
                what = "the null character" if bad[0] == "\0" else "bytes that are no text"
                text = f"The {name} holds {what}, which cannot be kept, at character {bad.start() + 1}."
                yield Problem(numbers[at], name, text, "Write it anew, or save the table as UTF-8.")
            cells[at] = UNSTORABLE.sub("\ufffd", cells[at])
        if bad_cells:
            frame = frame.assign(**{name: cells})
    names = list(frame.columns)
    for number, *cells in zip(numbers, *(frame[name] for name in names), strict=True):
        yield from check_row(number, dict(zip(names, cells, strict=True)), exists, image_size)
    yield from check_duplicates(frame, numbers)
    table = normalise_table(frame).assign(row=numbers)
    yield from check_labels(table, shared_labels)
    yield from check_matches(table, table_rows(table))


def unstorable_cells(cells: list[str]) -> dict[int, re.Match[str]]:
    """By place, the first character of a cell that cannot be kept."""
    found: dict[int, re.Match[str]] = {}
    for begin in range(0, len(cells), CHUNK_ROWS):
        chunk = cells[begin : begin + CHUNK_ROWS]
        if UNSTORABLE.search("".join(chunk)):
            found |= {at: bad for at, cell in enumerate(chunk, start=begin) if (bad := UNSTORABLE.search(cell))}
    return found


def check_row(
    number: int, row: dict[Any, str], exists: Exists | None, image_size: ImageSize | None
) -> Iterator[Problem]:
    """The faults that a row has by itself."""
    if not row["label"]:
        text = f"{shown(row['path'])} has no label." if row["path"] else "The label is empty."
        yield Problem(number, "label", text, "Name the identity, or put the photo into a folder of its name.")
    for name, limit in MAX_LENGTH.items():
        if len(row.get(name, "")) > limit:
            text = f"The {name} has {len(row[name])} characters; at most {limit} are kept."
            yield Problem(number, name, text, "Shorten it.")
    if row.get(OVERFLOW):
        text = f"The row is longer than the header: “{shown(row[OVERFLOW])}” is left over."
        yield Problem(number, "", text, "Put cells that contain the delimiter in quotes.")
    for column, text, remedy in check_split(row["split"], row["is_query"], row["is_gallery"]):
        yield Problem(number, column, text, remedy)
    path = row["path"]
    if not path:
        yield Problem(number, "path", "The path is empty.", "Name the image file.")
        return
    clean = clean_path(path)
    if leads_outside(path):
        yield Problem(number, "path", f"{shown(path)} leads outside the upload.", "Write it relative to the table.")
        return
    there = exists is None or exists(clean)
    if not there:
        yield Problem(number, "path", f"{shown(path)} is not in the upload.", "Add the file, or correct the path.")
    yield from check_box(number, row, clean, image_size if there else None)


def leads_outside(path: str) -> bool:
    """Whether a path is not one below the table's folder."""
    clean = clean_path(path)
    return clean[:1] == "/" or path[1:2] == ":" or (".." in clean and ".." in clean.split("/"))


@lru_cache(256)
def check_split(split: str, is_query: str, is_gallery: str) -> list[tuple[str, str, str]]:
    """(column, message, remedy) for the split's word, and for flags that do not go with it."""
    found = []
    word = split.lower()
    if word not in ("train", "validation"):
        found.append(("split", f"The split is “{shown(split)}”.", "Write train or validation."))
    flags = {"is_query": flag(is_query), "is_gallery": flag(is_gallery)}
    for name, cell in (("is_query", is_query), ("is_gallery", is_gallery)):
        if flags[name] is None:
            found.append((name, f"“{shown(cell)}” is no flag.", "Write True or False, or leave it empty."))
        elif flags[name] and word == "train":
            found.append((name, f"A train row has {name} set.", "Leave both flags of train rows empty."))
    if word == "validation" and not any(flags.values()) and None not in flags.values():
        remedy = "Set is_query, is_gallery or both to True."
        found.append(("is_query", "A validation row must search or be searched.", remedy))
    return found


def check_box(number: int, row: dict[Any, str], path: str, image_size: ImageSize | None) -> Iterator[Problem]:
    """A box is four numbers that describe a piece of the photo; or four empty cells."""
    cells = [row.get(name, "") for name in BOX]
    if not any(cells):
        return
    empty = [name for name, cell in zip(BOX, cells, strict=True) if not cell]
    if 0 < len(empty) < 4:
        text = f"The box lacks {', '.join(empty)}."
        yield Problem(number, empty[0], text, "Give all four in pixels, or none.")
        return
    try:
        box = box_of(cells)
    except ValueError:
        yield Problem(
            number, "x_1", f"The box ({shown(', '.join(cells))}) is not four numbers.", "Give all four in pixels."
        )
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
    paths = pd.Series([clean_path(path) if path else "" for path in frame["path"]], dtype=object)
    again = (paths.duplicated(keep=False) & (paths != "")).to_numpy()
    rows = frame[again]
    boxes = [rows[name] if name in rows else [""] * len(rows) for name in BOX]
    seen: dict[tuple[object, ...], int] = {}
    first_in: dict[str, dict[str, int]] = {"train": {}, "validation": {}}  # by split, then by path
    for number, path, split, *cells in zip(
        np.array(numbers)[again].tolist(), paths[again], rows["split"], *boxes, strict=True
    ):
        try:
            box: object = box_of(cells)
        except ValueError:
            box = tuple(cells)
        first = seen.setdefault((path, box), number)
        if first != number:
            text = f"{shown(path)} is already in row {first}" + (", with the same box." if box else ".")
            yield Problem(number, "path", text, "Remove one of them, or give each its own box.")
        first_in.get(split.lower(), {}).setdefault(path, number)
    for path, number in first_in["validation"].items():
        if path in first_in["train"]:
            text = f"{shown(path)} is also in the train split, in row {first_in['train'][path]}: "
            text += "its boxes share one background."
            yield Problem(number, "split", text, "Put all boxes of a photo into one split.", "warning")


def check_labels(table: pd.DataFrame, shared_labels: Severity) -> Iterator[Problem]:
    """What only the whole table shows: labels in both splits, with two categories, with a single sample."""
    named = table[table["label"] != ""]
    label_of, labels = pd.factorize(named["label"])  # of each row, in order of first appearance
    first_row = first_rows(named, label_of, len(labels))
    first_train, first_validation = (
        first_rows(named[at], label_of[at], len(labels))
        for at in ((named["split"] == split).to_numpy() for split in ("train", "validation"))
    )
    counts = np.bincount(label_of, minlength=len(labels))
    pairs = pd.DataFrame({"label": label_of, "category": named["category"].to_numpy()}).drop_duplicates()
    pairs = pairs[pairs["category"] != ""]
    several = pairs[pairs["label"].duplicated(keep=False)]
    categories: dict[int, list[str]] = {}
    for label, category in zip(several["label"], several["category"], strict=True):
        categories.setdefault(label, []).append(category)
    both = (first_train > 0) & (first_validation > 0)
    # A validation query alone is reported by check_matches; alone in the gallery, a label is a fair distractor.
    alone = (counts == 1) & (first_validation == 0)
    suspects = both | alone
    suspects[list(categories)] = True
    for at in np.flatnonzero(suspects).tolist():
        name, row = shown(labels[at]), int(first_row[at])
        if both[at]:
            text = f"The label {name} is in both splits, which flatters the figures."
            remedy = "Put all its samples into one split."
            yield Problem(int(first_validation[at]), "split", text, remedy, shared_labels)
        if names := categories.get(at):
            text = f"The label {name} has {len(names)} categories: {shown(', '.join(names[:3]))}."
            yield Problem(row, "category", text, "Give a label at most one category.")
        if alone[at]:
            text = f"The label {name} has one sample, from which little can be learned."
            yield Problem(row, "label", text, "Add photos of it, or remove it.", "warning")


def first_rows(rows: pd.DataFrame, group_of: Ints, groups: int) -> Ints:
    """`(groups,)`: the number of the first row of each group; 0 for a group that has none here."""
    first = np.zeros(groups, dtype=np.int64)
    first[group_of[::-1]] = rows["row"].to_numpy()[::-1]  # of several, the last that is written stays
    return first


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
        text = f"This query of the label {shown(label)} has no match in the gallery but itself and its own sequence."
        yield Problem(int(row), "is_query", text, "Add a gallery sample; till then no report counts it.", "warning")
