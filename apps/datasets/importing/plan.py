"""What an import would do, worked out whole before anything is written: one row per sample, and every problem."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from unicodedata import normalize

import pandas as pd

from apps.core.errors import BadInput
from apps.datasets.importing.archive import Archive
from mlcore.errors import InputError
from mlcore.images import ImageProblem
from mlcore.table import (
    BOX,
    REQUIRED,
    Problem,
    capped,
    check_table,
    clean_path,
    normalise_table,
    read_table,
    table_from_folder,
)

TABLES = (".csv", ".tsv", ".parquet")
TEXT_TABLE = ".txt"  # a table only if its header says so; else a licence or a readme
# Files that people mean as photos. Those of a kind that is not decoded are refused by name, not passed over.
PHOTOS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    *(".heic", ".heif", ".avif", ".svg", ".psd", ".jxl", ".jp2", ".dng", ".cr2", ".nef", ".arw"),
)

Box = tuple[int, int, int, int]
ImageSize = Callable[[str], tuple[int, int] | None]


@dataclass(frozen=True)
class KnownLabel:
    """A label that the dataset has already. `category` "": none; `split` "": its samples, if any, lie in both."""

    category: str = ""
    split: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One sample to bring in. `position`: its place in the import; `entry`: its file in the zip."""

    position: int
    entry: str
    path: str
    label: str = ""
    category: str = ""
    split: str = ""
    is_query: bool = False
    is_gallery: bool = False
    sequence: str = ""
    box: Box | None = None
    refusal: str = ""  # why it stays out, known without reading it


@dataclass(frozen=True)
class Plan:
    """The rows in the import's own order, which depends on the zip alone; `problems` of which an error stops it all."""

    rows: list[Row]
    problems: list[Problem] = field(default_factory=list)

    @property
    def errors(self) -> int:
        return sum(problem.severity == "error" for problem in self.problems)


def plan_import(
    archive: Archive, known: Mapping[str, KnownLabel], *, image_size: Callable[[list[str]], ImageSize]
) -> Plan:
    """Plans by the table at the root of the zip (or of its only folder), else by folders.

    known: the dataset's labels by name. image_size: given the entries that have boxes, a function from an entry to its
    (width, height) in pixels, None when it is no photo. Raises BadInput when there is nothing to plan with.
    """
    table = find_table(archive)
    if table is not None:
        return plan_by_table(archive, table, known, image_size)
    return plan_by_folders(archive, known)


def find_table(archive: Archive) -> str | None:
    """The name of the upload's table; None when it has none. Raises BadInput when it has several."""
    roots = [""]
    tops = {name.split("/", 1)[0] for name in archive}
    if len(tops) == 1:
        roots.append(f"{tops.pop()}/")
    for root in roots:
        here = [name for name in archive if name.startswith(root) and "/" not in name[len(root) :]]
        tables = [name for name in here if name.lower().endswith(TABLES)]
        tables += [name for name in here if name.lower().endswith(TEXT_TABLE) and _has_header(archive, name)]
        if len(tables) > 1:
            raise BadInput(f"The zip holds {len(tables)} tables: {', '.join(sorted(tables)[:5])}.", remedy="Keep one.")
        if tables:
            return tables[0]
    return None


def _has_header(archive: Archive, name: str) -> bool:
    """Whether a text file looks like a table, so that a licence is not taken for one."""
    try:
        head = archive.head(name, 2000)
    except ImageProblem:
        return False
    words = head.replace(b"\0", b"").lower().split(b"\n", 1)[0]
    return b"label" in words and b"path" in words


def plan_by_table(
    archive: Archive, table: str, known: Mapping[str, KnownLabel], image_size: Callable[[list[str]], ImageSize]
) -> Plan:
    try:
        frame = read_table(archive.read(table))
    except (InputError, ImageProblem) as error:
        problem = Problem(0, "", str(error), "Mend the table, or take it out for an upload of a folder per label.")
        return Plan([], [problem])
    root = table.rpartition("/")[0]

    def entry_of(path: str) -> str:
        name = normalize("NFC", path)
        inside = f"{root}/{name}" if root else name
        return inside if inside in archive or name not in archive else name

    boxed: list[str] = []
    if all(name in frame for name in BOX) and "path" in frame:
        has_box = (frame[BOX].fillna("") != "").any(axis=1)
        paths = dict.fromkeys(frame.loc[has_box, "path"].fillna(""))
        boxed = [entry for path in paths if path and (entry := entry_of(clean_path(path))) in archive]
    size_of = image_size(boxed)
    problems = check_table(
        frame,
        exists=lambda path: entry_of(path) in archive,
        image_size=lambda path: size_of(entry_of(path)),
        shared_labels="warning",  # a training refuses it; here it may be what somebody came to mend
    )
    # That nothing can be measured concerns a training, and the matches may be in the dataset already.
    problems = [
        replace(problem, severity="warning") if (problem.row, problem.column) == (0, "is_gallery") else problem
        for problem in problems
    ]
    if any(problem.row == 1 for problem in problems) or not set(REQUIRED) <= set(frame.columns):
        return Plan([], problems)  # the header is wrong
    problems += capped(check_categories(frame, known))
    if any(problem.severity == "error" for problem in problems):
        return Plan([], sorted(problems, key=lambda problem: problem.row))
    rows = [
        Row(
            position=position,
            entry=entry_of(record["path"]),
            path=record["path"],
            label=record["label"],
            category=record["category"],
            split=record["split"],
            is_query=record["is_query"],
            is_gallery=record["is_gallery"],
            sequence=record["sequence"],
            box=_box(record),
        )
        for position, record in enumerate(records(normalise_table(frame.fillna(""))))
    ]
    return Plan(rows, problems)


def records(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows as dictionaries, one at a time."""
    names = list(table.columns)
    for cells in zip(*(table[name].tolist() for name in names), strict=True):
        yield dict(zip(names, cells, strict=True))


def check_categories(frame: pd.DataFrame, known: Mapping[str, KnownLabel]) -> Iterator[Problem]:
    """A label whose category in the table is another than the one it has."""
    if "category" not in frame:
        return
    told: set[tuple[str, str]] = set()
    for number, label, category in zip(frame.index, frame["label"], frame["category"].fillna(""), strict=True):
        has = known.get(label, KnownLabel()).category
        if has and category and has != category and (label, category) not in told:
            told.add((label, category))
            text = f"The label {label} is of the category {has} in this dataset; the table says {category}."
            yield Problem(int(number), "category", text, "Change it in the table, or on the labels page.")


def _box(record: Mapping[Any, Any]) -> Box | None:
    if pd.isna(record["x_1"]):
        return None
    x_1, y_1, x_2, y_2 = (int(record[name]) for name in BOX)
    return x_1, y_1, x_2, y_2


def plan_by_folders(archive: Archive, known: Mapping[str, KnownLabel]) -> Plan:
    """A label per folder; photos in no folder come in without a label, to be labelled here."""
    photos = sorted(name for name in archive if name.lower().endswith(PHOTOS))
    if not photos:
        raise BadInput(
            "The zip holds no photos.",
            remedy="Put photos into it, in a folder per label, or with a table that names them.",
        )
    labelled = [name for name in photos if "/" in name]
    frame = table_from_folder(labelled)
    faults = (
        {problem.row - 2: problem.message for problem in check_table(frame, most=None) if problem.severity == "error"}
        if labelled
        else {}
    )
    by_path = dict(zip(labelled, frame.to_dict("records"), strict=True))
    place = {name: position for position, name in enumerate(labelled)}
    rows, warned, warnings = [], set(), []
    for position, name in enumerate(photos):
        record = by_path.get(name)
        if record is None:
            rows.append(Row(position, name, name, refusal=_too_long(name)))
            continue
        label, category, split = record["label"], record["category"], record["split"]
        has = known.get(label, KnownLabel())
        if has.category and category and has.category != category:
            if label not in warned:
                warned.add(label)
                text = f"The label {label} stays in the category {has.category}, though its folder lies in {category}."
                warnings.append(Problem(0, "category", text, "Change it on the labels page.", "warning"))
            category = has.category
        split = has.split or split  # a label that trains already must not be measured by its new photos
        out = split == "validation"
        refusal = faults.get(place[name], "") or _too_long(name)
        rows.append(Row(position, name, name, label, category, split, out, out, refusal=refusal))
    return Plan(rows, warnings)


def _too_long(name: str) -> str:
    return "The path has more than 1,000 characters. Shorten it." if len(name) > 1000 else ""
