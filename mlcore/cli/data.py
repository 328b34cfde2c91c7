"""Photos on the disk as a manifest and a source: a table beside its images, or a folder per label."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mlcore.cli.screen import OnProgress, silent
from mlcore.engine import ValidationSet
from mlcore.errors import InputError
from mlcore.images import ImageProblem, image_size, inspect
from mlcore.manifest import as_manifest, file_sha256
from mlcore.table import (
    BOX,
    REQUIRED,
    Problem,
    Severity,
    check_copies,
    check_table,
    clean_path,
    normalise_table,
    read_table,
    table_from_folder,
)
from mlcore.table.check import leads_outside
from mlcore.table.read import row_numbers

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
MAX_WARNED = 20  # warnings of a table that come before other work; `check` lists them all
PHOTO_COLUMNS = {"path", "is_gallery", *BOX}  # whose faults matter where photos are embedded or searched


@dataclass(frozen=True)
class FolderSource:
    """Image keys are paths below `root`."""

    root: Path

    def __call__(self, key: str) -> bytes:
        return (self.root / key).read_bytes()


def read_data(data: Path) -> tuple[pd.DataFrame, Path]:
    """The table, all cells as text, and the folder that its paths begin in. `data`: a table, or a folder per label.

    Raises InputError where there is neither.
    """
    if data.is_dir():
        files = (file for file in sorted(data.rglob("*")) if file.suffix.lower() in SUFFIXES and file.is_file())
        paths = (file.relative_to(data) for file in files)
        table = table_from_folder(path.as_posix() for path in paths if not is_hidden(path))
        if table.empty:
            raise InputError(f"{data} holds no photos. Put them into a folder per label, or name a table.")
        return table, data
    if not data.is_file():
        raise InputError(f"{data} is not there. Name a table (CSV, TSV, parquet) or a folder of photos.")
    return read_table(data), data.parent


def is_hidden(path: Path) -> bool:
    """What systems leave beside photos, such as `._photo.jpg`."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def check_data(
    table: pd.DataFrame,
    root: Path,
    *,
    decode: bool,
    on_progress: OnProgress = silent,
    shared_labels: Severity = "error",
) -> list[Problem]:
    """Every fault of the table and its files. `decode`: every photo is decoded whole, so that damage is found."""
    problems = check_table(
        table,
        shared_labels=shared_labels,
        exists=lambda path: (root / path).is_file(),
        image_size=lambda path: image_size(root / path),
    )
    if decode and {"path", "split"} <= set(table):
        sha256, faults = look_over(table["path"], root, on_progress)
        for number, path in zip(row_numbers(table), table["path"], strict=True):
            if fault := faults.get(clean_path(path)):
                problems.append(Problem(number, "path", fault, "Replace the file, or remove the row."))
        problems += check_copies(table, sha256)
    return sorted(problems, key=lambda problem: problem.row)


def look_over(paths: pd.Series, root: Path, on_progress: OnProgress) -> tuple[dict[str, str], dict[str, str]]:
    """By clean path: the SHA-256 of the files that are there, and what is wrong with them. Each is decoded once."""
    sha256: dict[str, str] = {}
    faults: dict[str, str] = {}
    clean = {clean_path(path) for path in paths if path and not leads_outside(path)}
    for done, path in enumerate(sorted(clean), start=1):
        try:
            if (root / path).is_file():
                data = (root / path).read_bytes()
                sha256[path] = hashlib.sha256(data).hexdigest()
                inspect(data)
        except (ImageProblem, OSError) as error:
            faults[path] = f"{path}: {error}"
        on_progress(done, len(clean))
    return sha256, faults


def load_data(
    data: Path,
    warn: Callable[[str], None],
    on_progress: OnProgress = silent,
    *,
    shared_labels: Severity = "error",
) -> tuple[pd.DataFrame, FolderSource]:
    """Manifest and source of a table or folder. Raises InputError listing every error; warnings go to `warn`."""
    return load_tables([data], warn, on_progress, shared_labels=shared_labels)[0]


def load_tables(
    tables: Sequence[Path],
    warn: Callable[[str], None],
    on_progress: OnProgress = silent,
    *,
    shared_labels: Severity = "error",
) -> list[tuple[pd.DataFrame, FolderSource]]:
    """The same of several: the InputError lists the errors of all of them. Train rows count in the first one alone."""
    sound: list[tuple[pd.DataFrame, Path]] = []
    failures: dict[Path, InputError] = {}
    for place, data in enumerate(tables):
        try:
            table, root = read_data(data)
            table = without_train(table) if place else table
            problems = check_data(table, root, decode=False, shared_labels=shared_labels)
            refuse(data, problems)
        except InputError as error:
            failures[data] = error
            continue
        sound.append((table, root))
        where = f"{data}: " if len(tables) > 1 else ""
        for problem in problems[:MAX_WARNED]:
            warn(f"warning: {where}{problem}")
        if (more := len(problems) - MAX_WARNED) > 0:
            warn(f"warning: {data} has {more} more warnings; check lists them all.")
    if len(failures) == 1:
        raise next(iter(failures.values()))
    if failures:
        errors = [
            f"{data}: {each}" if error.problems else each
            for data, error in failures.items()
            for each in error.problems or [error.message]
        ]
        raise InputError(f"{len(failures)} tables cannot be used.", errors)
    return [(manifest_of(table, root, on_progress), FolderSource(root)) for table, root in sound]


def without_train(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a further validation set: all but those of the train split. Where these are all, as it was."""
    others = table[table["split"].str.lower() != "train"] if "split" in table else table
    return others if len(others) else table


def load_photos(data: Path, on_progress: OnProgress = silent) -> tuple[pd.DataFrame, FolderSource]:
    """The same of whatever has a photo. A table needs `path` alone; labels, splits and flags come along if there."""
    table, root = read_data(data)
    if "path" not in table:
        raise InputError(f"{data} has no column path. Name the image files in one.")
    if table.empty:
        raise InputError(f"{data} has a header but no rows. Add one row per photo.")
    lacking = {name: "" for name in REQUIRED if name not in table}
    table = table.assign(**lacking)
    problems = check_data(table, root, decode=False)
    refuse(data, [problem for problem in problems if problem.row and problem.column in PHOTO_COLUMNS])
    return manifest_of(table, root, on_progress), FolderSource(root)


def load_gallery(data: Path, on_progress: OnProgress = silent) -> tuple[pd.DataFrame, FolderSource]:
    """All photos of a folder; the rows of a table that are flagged `is_gallery`, or all where none is."""
    manifest, source = load_photos(data, on_progress)
    if data.is_file() and manifest["is_gallery"].any():
        manifest = manifest[manifest["is_gallery"]].reset_index(drop=True)
    return manifest, source


def refuse(data: Path, problems: list[Problem]) -> None:
    """Raises InputError that lists every error."""
    errors = [str(problem) for problem in problems if problem.severity == "error"]
    if errors:
        raise InputError(f"{data} cannot be used.", errors)


def manifest_of(table: pd.DataFrame, root: Path, on_progress: OnProgress) -> pd.DataFrame:
    """The manifest of a table without errors. Reads every file once, for its SHA-256."""
    typed = normalise_table(table)
    sha256: dict[str, str] = {}
    paths = typed["path"].unique()
    for done, path in enumerate(paths, start=1):
        sha256[path] = file_sha256(root / path)
        on_progress(done, len(paths))
    typed["sample_id"] = range(1, len(typed) + 1)
    typed["image_key"] = typed["path"]
    typed["sha256"] = typed["path"].map(sha256)
    return as_manifest(typed)


@contextmanager
def all_damage_listed(photos: Mapping[str, ValidationSet], on_progress: OnProgress = silent) -> Iterator[None]:
    """Where work inside ends at a photo that cannot be read, the others are looked at too: the error names them all.

    photos: by the name of their set, "" for those of the one that needs none.
    """
    try:
        yield
    except InputError as error:
        files = {
            (name, key): path
            for name, each in photos.items()
            for key, path in zip(each.manifest["image_key"], each.manifest["path"], strict=True)
        }
        if not any(error.message.startswith(f"{path}: ") for path in files.values()):
            raise
        problems = []
        for done, ((name, key), path) in enumerate(files.items(), start=1):
            try:
                inspect(photos[name].source(key))
            except (ImageProblem, OSError) as fault:
                problems.append(f"{name}: {path}: {fault}" if name else f"{path}: {fault}")
            on_progress(done, len(files))
        problems = problems or [error.message]
        count = f"{len(problems)} photo{'s' if len(problems) > 1 else ''}"
        raise InputError(f"{count} cannot be read.", problems) from None
