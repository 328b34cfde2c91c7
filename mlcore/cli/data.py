"""Photos on the disk as a manifest and a source: a table beside its images, or a folder per label."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image

from mlcore.data import Source
from mlcore.errors import InputError
from mlcore.images import ImageProblem, inspect
from mlcore.manifest import manifest_from_table
from mlcore.table import Problem, check_table, read_table, table_from_folder
from mlcore.table.read import row_numbers

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}


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
        files = (file for file in sorted(data.rglob("*")) if file.suffix.lower() in SUFFIXES)
        table = table_from_folder(file.relative_to(data).as_posix() for file in files)
        if table.empty:
            raise InputError(f"{data} holds no photos. Put them into a folder per label, or name a table.")
        return table, data
    if not data.is_file():
        raise InputError(f"{data} is not there. Name a table (CSV, TSV, parquet) or a folder of photos.")
    return read_table(data), data.parent


def check_data(table: pd.DataFrame, root: Path, *, decode: bool) -> list[Problem]:
    """Every fault of the table and its files. `decode`: every photo is decoded whole, so that damage is found."""
    problems = check_table(
        table,
        exists=lambda path: (root / path).is_file(),
        image_size=lambda path: header_size(root / path),
    )
    if decode and "path" in table:
        for number, path in zip(row_numbers(table), table["path"], strict=True):
            if path and (root / path).is_file():
                problems += damage(number, root / path)
    return sorted(problems, key=lambda problem: problem.row)


def damage(number: int, file: Path) -> list[Problem]:
    try:
        inspect(file.read_bytes())
    except (ImageProblem, OSError) as error:
        return [Problem(number, "path", f"{file.name}: {error}", "Replace the file, or remove the row.")]
    return []


def header_size(file: Path) -> tuple[int, int] | None:
    """Width and height in pixels after EXIF rotation, without decoding; None where there is no telling."""
    try:
        with Image.open(file) as image:
            turned = image.getexif().get(0x0112, 1) >= 5  # the four orientations that swap the sides
            return (image.height, image.width) if turned else (image.width, image.height)
    except (OSError, SyntaxError, ValueError):
        return None


def load_data(data: Path, warn: Callable[[str], None]) -> tuple[pd.DataFrame, Source]:
    """Manifest and source of a table or folder. Raises InputError listing every error; warnings go to `warn`."""
    table, root = read_data(data)
    problems = check_data(table, root, decode=False)
    errors = [str(problem) for problem in problems if problem.severity == "error"]
    if errors:
        raise InputError(f"{data} cannot be used.", errors)
    for problem in problems:
        warn(f"warning: {problem}")
    return manifest_from_table(table, root), FolderSource(root)
