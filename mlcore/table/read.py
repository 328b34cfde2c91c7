"""From the bytes of a file to a frame of text cells, and from there to typed columns. No torch."""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import pandas as pd

from mlcore.errors import InputError
from mlcore.table.limits import (
    HEADER,
    KNOWN,
    MAX_ROWS,
    OPTIONAL,
    header_text,
    refuse_rows,
    refuse_size,
    refuse_twins,
    row_index,
)
from mlcore.table.parquet import from_parquet
from mlcore.table.problem import shown

BOX = ["x_1", "y_1", "x_2", "y_2"]
OVERFLOW = "past the header"  # a column for the cells of rows that are longer than the header
TRUE, FALSE = {"true", "1", "yes", "y", "1.0", "t"}, {"false", "0", "no", "n", "0.0", "f", ""}
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run
MAX_PIXEL = 2**31 - 1
# As `normalise_table` reads it: Python itself takes 1_0 for a number too, and digits of other scripts.
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
DELIMITERS = ",;\t"
UNCLEAN = re.compile(r"\\|//|/\.|^[./]|/\Z|^\Z")  # what a path may hold that is written otherwise than need be
PARQUET = b"PAR1"
BLOCK_BYTES = 2**20
CHUNK_ROWS = 20_000
MAX_CACHED = 100_000  # cells that are kept to be found again
MAX_RECORD = 2**20  # characters of one row


def read_table(source: Path | str | bytes | BinaryIO) -> pd.DataFrame:
    """Reads CSV or TSV (any of `,` `;` tab; UTF-8, UTF-16 or cp1251) or parquet: a path, bytes, or an open file.

    All cells are text, so that a label 007 stays 007; an empty cell is "". Names of columns are stripped and lowered;
    those that are not known are left out (`frame.attrs[HEADER]` tells which there were). The index, named `row`, holds
    spreadsheet rows: the first row below the header is 2, and empty rows, though left out, are counted. Raises
    InputError for what is no table, and for one with more than 2,000,000 rows or 512 MiB of text.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        with path.open("rb") as file:
            if file.read(4) == PARQUET:
                return from_parquet(path)
            refuse_size(path.stat().st_size)
            file.seek(0)
            data = file.read()
    else:
        data = source if isinstance(source, bytes) else source.read()
    if data[:4] == PARQUET:
        return from_parquet(data)
    if data[:4] == b"PK\x03\x04":
        raise InputError("This is an Excel workbook or a zip, not a table. Save it as “CSV UTF-8”.")
    refuse_size(len(data))
    return from_text(io.TextIOWrapper(io.BytesIO(data), encoding_of(data), newline=""))


def encoding_of(data: bytes) -> str:
    """The encoding in which all of it is text. Decodes it by blocks, for text is held only as cells."""
    encodings = ["utf-16"] if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "cp1251"]
    for encoding in encodings:
        decoder = codecs.getincrementaldecoder(encoding)()
        is_empty = True
        try:
            for begin in range(0, len(data) + 1, BLOCK_BYTES):
                end = begin + BLOCK_BYTES
                text = decoder.decode(data[begin:end], final=end > len(data))
                if "\0" in text:
                    raise InputError("This is no text. A table is a CSV, TSV or parquet file.")
                is_empty = is_empty and not text.strip()
        except UnicodeDecodeError:
            continue
        if is_empty:
            raise InputError("The table is empty. It needs a header and one row per sample.")
        return encoding
    raise InputError("The table is neither UTF-8 nor cp1251 text. Save it as “CSV UTF-8”.")


class Cleaned(dict[str, str]):
    """Cells by what the file says: stripped, without an export's apostrophe, and one string for equal ones."""

    def __missing__(self, raw: str) -> str:
        cell = self[raw] = unescape_cell(raw.strip())
        return cell


class Lines(Iterator[str]):
    """The lines of a text, of which one record may take no more than so many characters: see `record_begins`."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._taken = 0

    def __next__(self) -> str:
        line = next(self._lines)
        self._taken += len(line)
        if self._taken > MAX_RECORD:
            text = f"The table has a row of more than {MAX_RECORD:,} characters"
            raise InputError(f"{text}. Mend its quotes and line ends; if it is no table, take it out.")
        return line

    def record_begins(self) -> None:
        self._taken = 0


def from_text(text: Iterable[str]) -> pd.DataFrame:
    """The frame of a text's lines."""
    lines = Lines(text)
    head = []
    for line in lines:  # blank ones count as rows, unless the hint follows
        head.append(line)
        if line.strip():
            break
    first = head[-1].lstrip()
    delimiter = max(DELIMITERS, key=first.count)
    if first.lower().startswith("sep=") and len(first.strip()) == 5:  # a hint for Excel, which hides that row
        head, delimiter = [], first[4]
    reader = csv.reader(chain(head, lines), delimiter=delimiter, skipinitialspace=True, strict=True)

    def records() -> Iterator[tuple[int, list[str]]]:
        for number, cells in enumerate(reader, start=1):
            lines.record_begins()
            if any(map(str.strip, cells)):
                yield number, cells

    try:
        return from_records(records(), delimiter)
    except csv.Error as error:
        raise InputError(f"The table cannot be read near line {reader.line_num}: {error}. Mend the quotes.") from None


def from_records(records: Iterator[tuple[int, list[str]]], delimiter: str) -> pd.DataFrame:
    """The frame of records with their numbers, the first of which is the header."""
    _, names = next(records, (0, []))
    if not names:
        raise InputError("The table is empty. It needs a header and one row per sample.")
    header = [name.strip().lower() or f"unnamed {place}" for place, name in enumerate(names, start=1)]
    refuse_twins(header)
    width = len(header)
    places = {name: place for place, name in enumerate(header) if name in KNOWN}
    at = list(places.values())
    columns: dict[str, list[str]] = {name: [] for name in places}
    caches = {name: Cleaned() for name in places}
    numbers: list[int] = []
    overflow: dict[int, str] = {}  # by number

    def known_cells(record: tuple[int, list[str]]) -> tuple[str, ...]:
        number, cells = record
        if len(cells) == width:
            return tuple([cells[place] for place in at])
        if more := delimiter.join(map(str.strip, cells[width:])).strip(delimiter):
            overflow[number] = shown(more)
        return tuple(cells[place] if place < len(cells) else "" for place in at)

    while chunk := [(record[0], known_cells(record)) for record in islice(records, CHUNK_ROWS)]:
        numbers += [number for number, _ in chunk]
        if len(numbers) > MAX_ROWS:
            refuse_rows(len(numbers) + sum(1 for _ in records))
        for name, raw in zip(places, zip(*(cells for _, cells in chunk), strict=True), strict=False):
            columns[name] += map(caches[name].__getitem__, raw)
            if len(caches[name]) > MAX_CACHED:
                caches[name].clear()
    frame = pd.DataFrame(columns, index=row_index(numbers), dtype=object)
    if overflow:
        frame[OVERFLOW] = [overflow.get(number, "") for number in numbers]
    frame.attrs[HEADER] = header_text(header)
    return frame


def row_numbers(frame: pd.DataFrame) -> list[int]:
    """The spreadsheet row of each row: as `read_table` noted it, else counted from 2."""
    return frame.index.tolist() if frame.index.name == "row" else list(range(2, len(frame) + 2))


def flag(value: str) -> bool | None:
    """A flag as people write it; None for anything else."""
    word = value.strip().lower()
    return True if word in TRUE else False if word in FALSE else None


def clean_path(path: str) -> str:
    """`./a\\b.jpg` -> `a/b.jpg`."""
    if not UNCLEAN.search(path):
        return path  # as nearly all are; a PurePosixPath takes its time
    return str(PurePosixPath(path.replace("\\", "/")))


def box_of(cells: list[str]) -> tuple[int, int, int, int] | None:
    """Four cells as whole pixels, None where all are empty. Raises ValueError unless all are numbers that can be."""
    if not any(cells):
        return None
    if not all(map(NUMBER.fullmatch, cells)):
        raise ValueError("no number")
    try:
        x_1, y_1, x_2, y_2 = (round(float(cell)) for cell in cells)
    except OverflowError:
        raise ValueError("infinite") from None
    if max(abs(x_1), abs(y_1), abs(x_2), abs(y_2)) > MAX_PIXEL:
        raise ValueError("beyond any photo")
    return x_1, y_1, x_2, y_2


def normalise_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The typed table: flags bool, boxes Int64 or missing, all optional columns there, "" where they are empty.

    For frames in which `check_table` found no error. Extra columns stay as they are.
    """
    table = frame.copy()
    for name in OPTIONAL:
        if name not in table:
            table[name] = ""
    for name in ("is_query", "is_gallery"):
        table[name] = [bool(flag(value)) for value in table[name]]
    for name in BOX:
        numbers = pd.to_numeric(table[name], errors="coerce").astype("float64").round()
        table[name] = numbers.where(numbers.abs() <= MAX_PIXEL).astype("Int64")
    table["path"] = [clean_path(path) for path in table["path"]]
    table["split"] = [split.lower() for split in table["split"]]
    return table


def escape_cell(value: str) -> str:
    """For export: a cell that a spreadsheet would run as a formula gets an apostrophe in front.

    >>> escape_cell("=1+1")
    "'=1+1"
    """
    return "'" + value if value.lstrip("'")[:1] in FORMULA and value else value


def unescape_cell(value: str) -> str:
    """Undoes `escape_cell`, so that what went out comes in unchanged."""
    return value[1:] if value[:1] == "'" and value.lstrip("'")[:1] in FORMULA else value
