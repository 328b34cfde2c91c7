"""The table of PRODUCT.md: read from any sensible file, and checked until every fault is known. No torch.

`label, path, split, is_query, is_gallery` are required; `category, sequence, x_1, y_1, x_2, y_2` are optional; other
columns are kept. Row numbers are those of a spreadsheet: the header is row 1.
"""

import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import pandas as pd

from mlcore.config import BalancedSampler, Recipe
from mlcore.errors import InputError

REQUIRED = ["label", "path", "split", "is_query", "is_gallery"]
OPTIONAL = ["category", "sequence", "x_1", "y_1", "x_2", "y_2"]
BOX = ["x_1", "y_1", "x_2", "y_2"]
ENCODINGS = ("utf-8-sig", "cp1251")
TRUE, FALSE = {"true", "1", "yes", "y", "1.0", "t"}, {"false", "0", "no", "n", "0.0", "f", ""}
MIN_LABELS_TO_SPLIT = 6


@dataclass(frozen=True)
class Problem:
    """One fault of a table. `row` as a spreadsheet counts (0: the whole table)."""

    row: int
    column: str
    message: str
    remedy: str
    severity: Literal["error", "warning"] = "error"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def read_table(source: Path | bytes) -> pd.DataFrame:
    """Reads CSV or TSV (any of `,` `;` tab; UTF-8, with or without BOM, or cp1251) or parquet, all cells as text.

    Names of columns are stripped and lowered. Empty cells are empty strings. Raises InputError for what is no table.
    """
    data = source.read_bytes() if isinstance(source, Path) else source
    if data[:4] == b"PAR1":
        frame = pd.read_parquet(io.BytesIO(data))
        frame = frame.astype(object).where(frame.notna(), "").map(lambda value: str(value))
    else:
        frame = read_text(data)
    frame.columns = [str(name).strip().lower() for name in frame.columns]
    for name in frame.columns:
        frame[name] = frame[name].str.strip()
    return frame


def read_text(data: bytes) -> pd.DataFrame:
    for encoding in ENCODINGS:
        try:
            text = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise InputError("The table is neither UTF-8 nor cp1251 text. Save it as CSV UTF-8.")
    if not text.strip() or "\0" in text:
        raise InputError("The table is empty. It needs a header and one line per sample.")
    header = text.splitlines()[0]
    delimiter = max(",;\t", key=header.count)
    try:
        return pd.read_csv(io.StringIO(text), sep=delimiter, dtype=str, keep_default_na=False, skipinitialspace=True)
    except (pd.errors.ParserError, csv.Error) as error:
        raise InputError(f"The table cannot be read: {error}") from None


def flag(value: str) -> bool | None:
    """A flag as people write it; None for anything else."""
    word = value.strip().lower()
    return True if word in TRUE else False if word in FALSE else None


def normalise_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The typed table: flags bool, boxes Int64 or missing, all optional columns there. Call after `check_table`."""
    table = frame.copy()
    for name in OPTIONAL:
        if name not in table:
            table[name] = ""
    for name in ("is_query", "is_gallery"):
        table[name] = table[name].map(lambda value: bool(flag(value)))
    for name in BOX:
        table[name] = pd.to_numeric(table[name], errors="coerce").round().astype("Int64")
    table["path"] = table["path"].map(clean_path)
    table["split"] = table["split"].str.lower()
    return table


def clean_path(path: str) -> str:
    """`./a\\b.jpg` -> `a/b.jpg`."""
    return str(PurePosixPath(path.replace("\\", "/")))


def check_table(
    frame: pd.DataFrame,
    *,
    exists: Callable[[str], bool] | None = None,
    image_size: Callable[[str], tuple[int, int] | None] | None = None,
    shared_labels: Literal["error", "warning"] = "error",
) -> list[Problem]:
    """Every fault of a table as `read_table` gives it, in order of rows.

    exists: whether a path names a file. image_size: (width, height) of a file in pixels, None when unreadable.
    shared_labels: what a label in both splits is; closed-set evaluation is a choice.
    """
    missing = [name for name in REQUIRED if name not in frame]
    if missing:
        have = ", ".join(map(str, frame.columns)) or "none"
        remedy = f"Add {'it' if len(missing) == 1 else 'them'} to the header. The columns found are: {have}."
        return [Problem(1, name, f"The column {name} is missing.", remedy) for name in missing]
    if frame.empty:
        return [Problem(0, "", "The table has a header but no rows.", "Add one row per sample.")]
    problems = [
        problem
        for number, row in zip(range(2, len(frame) + 2), frame.to_dict("records"), strict=True)
        for problem in check_row(number, row, exists, image_size)
    ]
    problems += check_duplicates(frame)
    problems += check_labels(frame, shared_labels)
    return sorted(problems, key=lambda problem: problem.row)


def check_row(
    number: int,
    row: dict[Any, str],
    exists: Callable[[str], bool] | None,
    image_size: Callable[[str], tuple[int, int] | None] | None,
) -> Iterator[Problem]:
    """The faults that a row has by itself."""
    if not row["label"]:
        yield Problem(number, "label", "The label is empty.", "Name the identity, or remove the row.")
    split = row["split"].lower()
    if split not in ("train", "validation"):
        yield Problem(number, "split", f"The split is “{row['split']}”.", "Write train or validation.")
    flags = {name: flag(row[name]) for name in ("is_query", "is_gallery")}
    for name, value in flags.items():
        if value is None:
            yield Problem(number, name, f"“{row[name]}” is no flag.", "Write True or False, or leave it empty.")
    if split == "validation" and not any(flags.values()) and None not in flags.values():
        remedy = "Set is_query, is_gallery or both to True."
        yield Problem(number, "is_query", "A validation row must search or be searched.", remedy)
    if split == "train" and any(flags.values()):
        yield Problem(number, "is_query", "A train row has a query or gallery flag.", "Leave both flags empty.")
    path = row["path"]
    parts = PurePosixPath(path.replace("\\", "/"))
    if not path:
        yield Problem(number, "path", "The path is empty.", "Name the image file.")
        return
    if parts.is_absolute() or ".." in parts.parts or (len(path) > 1 and path[1] == ":"):
        yield Problem(number, "path", f"{path} leads outside the upload.", "Write it relative to the table.")
        return
    there = exists is None or exists(clean_path(path))
    if not there:
        yield Problem(number, "path", f"{path} is not in the upload.", "Add the file, or correct the path.")
    yield from check_box(number, row, clean_path(path), image_size if there else None)


def check_box(
    number: int, row: dict[Any, str], path: str, image_size: Callable[[str], tuple[int, int] | None] | None
) -> Iterator[Problem]:
    cells = [row.get(name, "") for name in BOX]
    if not any(cells):
        return
    try:
        x_1, y_1, x_2, y_2 = (float(cell) for cell in cells)
    except ValueError:
        yield Problem(number, "x_1", f"The box {cells} is not four numbers.", "Give all four in pixels, or none.")
        return
    if min(x_1, y_1) < 0:
        yield Problem(number, "x_1", "The box begins outside the photo.", "Make x_1 and y_1 0 or more.")
    elif not (x_1 < x_2 and y_1 < y_2):
        yield Problem(number, "x_2", "The box is empty or inverted.", "x_1 < x_2 and y_1 < y_2, in pixels.")
    elif image_size is not None and (size := image_size(path)) and (x_2 > size[0] or y_2 > size[1]):
        text = f"The box reaches ({x_2:g}, {y_2:g}); the photo is {size[0]} x {size[1]} pixels after rotation."
        yield Problem(number, "x_2", text, "Draw the box inside the photo.")


def check_duplicates(frame: pd.DataFrame) -> Iterator[Problem]:
    """The same file and box twice."""
    seen: dict[tuple[str, ...], int] = {}
    boxes = [frame[name] if name in frame else pd.Series("", index=frame.index) for name in BOX]
    for number, key in enumerate(zip(frame["path"].map(clean_path), *boxes, strict=True), start=2):
        first = seen.setdefault(key, number)
        if first != number and key[0] != ".":
            text = f"{key[0]} is already in row {first}."
            yield Problem(number, "path", text, "Remove one of them, or give each its own box.")


def check_labels(frame: pd.DataFrame, shared_labels: Literal["error", "warning"]) -> Iterator[Problem]:
    """What only the whole table shows: leaks between splits, contradictory categories, queries without a match."""
    table = normalise_table(frame)
    table["row"] = range(2, len(table) + 2)
    for label, rows in table[table["label"] != ""].groupby("label", sort=False):
        if {"train", "validation"} <= set(rows["split"]):
            at = int(rows[rows["split"] == "validation"]["row"].iloc[0])
            text = f"The label {label} is in both splits: its figures would flatter the model."
            yield Problem(at, "split", text, "Put all its samples into one split.", shared_labels)
        names = [name for name in dict.fromkeys(rows["category"]) if name]
        if len(names) > 1:
            text = f"The label {label} has {len(names)} categories: {', '.join(names[:3])}."
            yield Problem(int(rows["row"].iloc[0]), "category", text, "A label has at most one category.")
    yield from check_matches(table)


def check_matches(table: pd.DataFrame) -> Iterator[Problem]:
    """Queries that nothing in the gallery can match. An error when that is true of all of them."""
    queries = table[table["is_query"] & (table["split"] == "validation")]
    gallery = table[table["is_gallery"] & (table["split"] == "validation")]
    if queries.empty and gallery.empty:
        return
    alone = lonely_queries(queries, gallery)
    if len(alone) == len(queries):
        text = "No query has a match in the gallery, so nothing can be measured."
        yield Problem(0, "is_gallery", text, "Give validation labels at least two samples, one query and one gallery.")
        return
    for row, label in zip(alone["row"], alone["label"], strict=True):
        text = f"This query of {label} has no match in the gallery; it is left out of the report."
        yield Problem(int(row), "is_gallery", text, "Add a gallery sample of the label.", "warning")


def lonely_queries(queries: pd.DataFrame, gallery: pd.DataFrame) -> pd.DataFrame:
    """The queries without a gallery sample of their label, other than themselves and those of their own sequence."""
    total = gallery.groupby("label").size()
    burst = gallery[gallery["sequence"].fillna("") != ""].groupby(["label", "sequence"]).size()
    matches = []
    for index, label, sequence in zip(queries.index, queries["label"], queries["sequence"].fillna(""), strict=True):
        own = index in gallery.index
        same = int(burst.get((label, sequence), 0)) if sequence else int(own)
        matches.append(int(total.get(label, 0)) - same)
    return queries[[count <= 0 for count in matches]]


def table_from_folder(paths: Iterable[str]) -> pd.DataFrame:
    """A table for photos that lie in a folder per label.

    The deepest folder is the label. Where every photo lies two or more folders deep, the folder above is the category
    (and part of the label's name, should two categories use it). With at least 6 labels of 2 samples or more, about a
    third of those labels are validation, query and gallery at once; which ones follows from a hash of their names.
    Otherwise all is train. A folder common to all photos is passed over.
    """
    parts = [PurePosixPath(path).parts for path in paths]
    if not parts:
        return pd.DataFrame(columns=[*REQUIRED, *OPTIONAL])
    skip = 0
    while all(len(part) > skip + 2 for part in parts) and len({part[skip] for part in parts}) == 1:
        skip += 1
    deep = all(len(part) > skip + 2 for part in parts)
    rows = [
        {
            "path": "/".join(part),
            "label": part[-2] if len(part) > 1 else "",
            "category": part[-3] if deep else "",
        }
        for part in parts
    ]
    table = pd.DataFrame(rows)
    owners = table.groupby("label")["category"].nunique()
    shared = table["label"].map(owners) > 1
    table.loc[shared, "label"] = table["category"][shared] + "/" + table["label"][shared]
    counts = table["label"].value_counts()
    usable = [label for label in counts.index if label and counts[label] >= 2]
    chosen: set[str] = set()
    if len(usable) >= MIN_LABELS_TO_SPLIT:
        by_hash = sorted(usable, key=lambda label: hashlib.sha256(label.encode()).hexdigest())
        chosen = set(by_hash[: max(2, len(usable) // 3)])
    held_out = table["label"].isin(chosen)
    table["split"] = held_out.map({True: "validation", False: "train"})
    table["is_query"] = table["is_gallery"] = held_out.map({True: "True", False: ""})
    for name in ("sequence", *BOX):
        table[name] = ""
    return table


def preflight(manifest: pd.DataFrame, recipe: Recipe) -> list[Problem]:
    """What stands between a manifest and a training by `recipe`, found before any work. Errors stop it."""
    problems: list[Problem] = []
    train = manifest[manifest["split"] == "train"]
    validation = manifest[manifest["split"] == "validation"]
    counts = train["label"].value_counts()
    several = counts[counts >= 2]
    if len(several) < 2:
        text = f"There are {len(several)} training labels with two samples or more; at least 2 are needed."
        problems.append(Problem(0, "label", text, "Label more photos, or move labels from validation to train."))
    elif isinstance(recipe.sampler, BalancedSampler) and len(counts) < recipe.sampler.labels:
        text = f"The recipe puts {recipe.sampler.labels} labels into a batch; the train split has {len(counts)}."
        problems.append(Problem(0, "label", text, f"Set labels per batch to {len(counts)} or fewer, or add labels."))
    single = counts[counts == 1]
    if len(single):
        text = f"{len(single)} training labels have one sample: {', '.join(map(str, single.index[:5]))}."
        problems.append(Problem(0, "label", text, "They teach little; add photos of them.", "warning"))
    if validation.empty:
        text = "There is no validation split, so nothing would tell whether the model is any good."
        problems.append(Problem(0, "split", text, "Move about a third of the labels to validation."))
    else:
        rows = validation.assign(row=validation["sample_id"])
        for problem in check_matches(rows):
            if problem.severity == "error":
                problems.append(problem)
        alone = lonely_queries(rows[rows["is_query"]], rows[rows["is_gallery"]])
        if 0 < len(alone) < int(rows["is_query"].sum()):
            text = f"{len(alone)} queries have no match in the gallery and are left out of the report."
            problems.append(Problem(0, "is_gallery", text, "Give their labels a gallery sample.", "warning"))
    both = sorted(set(train["label"]) & set(validation["label"]))
    if both:
        text = f"{len(both)} labels are in both splits: {', '.join(both[:5])}. Their figures would flatter the model."
        problems.append(Problem(0, "split", text, "Put all samples of a label into one split."))
    same_file = set(train["sha256"]) & set(validation["sha256"])
    if same_file:
        paths = validation[validation["sha256"].isin(same_file)]["path"].tolist()
        text = f"{len(same_file)} files are in both splits: {', '.join(paths[:5])}."
        problems.append(Problem(0, "path", text, "Remove them from one of the splits."))
    return problems


def escape_cell(value: str) -> str:
    """A cell that a spreadsheet would run as a formula gets an apostrophe in front."""
    return "'" + value if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
