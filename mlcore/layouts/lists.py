"""The text files in which datasets list their photos: lines of so many words, with every fault noted. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlcore.errors import InputError
from mlcore.layouts.base import Box


@dataclass(frozen=True)
class Line:
    """origin: the file and the number of the line, for messages."""

    origin: str
    cells: list[str]


def find_files(folder: Path, *wanted: Sequence[str]) -> list[Path]:
    """For each wanted file the first of its places that is there. Raises InputError that names all that are missing."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. Name the one that the dataset was unpacked into.")
    found: list[Path] = []
    missing: list[str] = []
    for places in wanted:
        there = [folder / place for place in places if (folder / place).is_file()]
        found += there[:1]
        if not there:
            within = next((inner for place in places for inner in holding(folder, place)), None)
            remedy = f" It is in {within}: name that folder." if within else " Name the folder that holds it."
            missing.append(f"{' or '.join(places)} is not in {folder}.{remedy}")
    if missing:
        raise InputError(f"{folder} lacks files of the dataset.", missing)
    return found


def holding(folder: Path, place: str) -> list[Path]:
    """The folders inside this one that hold a file at that place: people name one too high."""
    return [inner for inner in sorted(folder.iterdir()) if (inner / place).is_file()]


def read_lines(
    file: Path, columns: Sequence[str], problems: list[str], *, has_header: bool = False, has_count: bool = False
) -> list[Line]:
    """The lines with as many words as there are columns; others are noted in `problems`, empty ones passed over.

    has_count: the first line says how many there are. has_header: then one names the columns. Any line ends, and a
    byte order mark, will do. Raises InputError for what is no text.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file} is no UTF-8 text. Unpack the dataset again.") from None
    # Not splitlines(): it would end lines at separators that a name may hold.
    listed = [(number, line.split()) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    count = None
    if has_count:
        count = first_count(file, listed, problems)
        listed = listed[1:]
    if has_header:
        if not listed or listed[0][1] != list(columns):
            begins = " ".join(listed[0][1])[:100] if listed else "nothing"
            raise InputError(f"{file} should begin with the header “{' '.join(columns)}”; it has “{begins}”.")
        listed = listed[1:]
    lines = []
    for number, cells in listed:
        origin = f"{file.name}, line {number}"
        if len(cells) == len(columns):
            lines.append(Line(origin, cells))
        else:
            problems.append(f"{origin}: {len(cells)} columns, not the {len(columns)} of “{' '.join(columns)}”.")
    if not listed:
        problems.append(f"{file.name} lists nothing. Unpack the dataset again.")
    elif count is not None and count != len(listed):
        problems.append(f"{file.name} promises {count} lines and has {len(listed)}. Unpack the dataset again.")
    return lines


def first_count(file: Path, listed: list[tuple[int, list[str]]], problems: list[str]) -> int | None:
    first = " ".join(listed[0][1])[:100] if listed else "nothing"
    if first.isdecimal():
        return int(first)
    problems.append(f"{file.name} should begin with how many lines it has; it has “{first}”.")
    return None


def by_id(file: Path, columns: Sequence[str], problems: list[str]) -> dict[str, Line]:
    """The lines by their first word, which may come once."""
    found: dict[str, Line] = {}
    for line in read_lines(file, columns, problems):
        if line.cells[0] in found:
            problems.append(f"{line.origin}: {line.cells[0]} was listed before, in {found[line.cells[0]].origin}.")
        else:
            found[line.cells[0]] = line
    return found


def number_of(origin: str, cell: str, problems: list[str]) -> int | None:
    """A label's number, from 1; None, and a problem, for anything else."""
    if cell.isdecimal() and len(cell) < 10 and int(cell) > 0:
        return int(cell)
    problems.append(f"{origin}: “{cell[:100]}” is no number of a label.")
    return None


def box_of(origin: str, corners: Sequence[str | float], problems: list[str]) -> Box | None:
    """x_1, y_1, x_2, y_2 in whole pixels; None, and a problem, for what is no box."""
    try:
        x_1, y_1, x_2, y_2 = (round(float(corner)) for corner in corners)
    except (ValueError, OverflowError):
        problems.append(f"{origin}: the box ({', '.join(map(str, corners))}) is not four numbers.")
        return None
    return x_1, y_1, x_2, y_2
