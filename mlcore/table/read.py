"""From the bytes of a file to a frame of text cells, and from there to typed columns. No torch."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import pandas as pd

from mlcore.errors import InputError

REQUIRED = ["label", "path", "split", "is_query", "is_gallery"]
OPTIONAL = ["category", "sequence", "x_1", "y_1", "x_2", "y_2"]
BOX = ["x_1", "y_1", "x_2", "y_2"]
OVERFLOW = "past the header"  # a column for the cells of rows that are longer than the header
TRUE, FALSE = {"true", "1", "yes", "y", "1.0", "t"}, {"false", "0", "no", "n", "0.0", "f", ""}
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run
MAX_PIXEL = 2**31 - 1
DELIMITERS = ",;\t"


def read_table(source: Path | str | bytes | BinaryIO) -> pd.DataFrame:
    """Reads CSV or TSV (any of `,` `;` tab; UTF-8, UTF-16 or cp1251) or parquet: a path, bytes, or an open file.

    All cells are text, so that a label 007 stays 007; an empty cell is "". Names of columns are stripped and lowered.
    The index, named `row`, holds spreadsheet rows: the first row below the header is 2, and empty rows, though left
    out, are counted. Raises InputError for what is no table.
    """
    if isinstance(source, str | Path):
        data = Path(source).read_bytes()
    else:
        data = source if isinstance(source, bytes) else source.read()
    if data[:4] == b"PAR1":
        return from_parquet(data)
    if data[:4] == b"PK\x03\x04":
        raise InputError("This is an Excel workbook or a zip, not a table. Save it as “CSV UTF-8”.")
    return from_text(decode(data))


def from_parquet(data: bytes) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(io.BytesIO(data))
    except (OSError, ValueError) as error:
        raise InputError(f"The table cannot be read: {error}") from None
    columns = [str(name).strip().lower() for name in frame.columns]
    cells = {name: [as_text(value) for value in frame.iloc[:, at]] for at, name in enumerate(columns)}
    refuse_twins(columns)
    return pd.DataFrame(cells, columns=columns, index=row_index(range(2, len(frame) + 2)), dtype=object)


def as_text(value: Any) -> str:
    """A parquet cell as a CSV would write it: 3.0 is 3, a missing value is empty."""
    if value is None or value is pd.NA or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def decode(data: bytes) -> str:
    """Text of a table, without its byte order mark."""
    encodings = ["utf-16"] if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "cp1251"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            raise InputError("This is no text. A table is a CSV, TSV or parquet file.")
        if not text.strip():
            raise InputError("The table is empty. It needs a header and one row per sample.")
        return text
    raise InputError("The table is neither UTF-8 nor cp1251 text. Save it as “CSV UTF-8”.")


def from_text(text: str) -> pd.DataFrame:
    first, _, rest = text.lstrip().partition("\n")
    delimiter = max(DELIMITERS, key=first.count)
    if first.lower().startswith("sep=") and len(first.strip()) == 5:  # a hint for Excel, which hides that row
        text, delimiter = rest, first[4]
    records, numbers = [], []
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
        for number, cells in enumerate(reader, start=1):
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                records.append(stripped)
                numbers.append(number)
    except csv.Error as error:
        raise InputError(f"The table cannot be read near line {reader.line_num}: {error}. Mend the quotes.") from None
    if not records:
        raise InputError("The table is empty. It needs a header and one row per sample.")
    header = [name.lower() or f"unnamed {place}" for place, name in enumerate(records[0], start=1)]
    refuse_twins(header)
    width = len(header)
    rows = [[unescape_cell(cell) for cell in cells] + [""] * (width - len(cells)) for cells in records[1:]]
    frame = pd.DataFrame([cells[:width] for cells in rows], columns=header, index=row_index(numbers[1:]), dtype=object)
    overflow = [delimiter.join(cells[width:]).strip(delimiter) for cells in rows]
    if any(overflow):
        frame[OVERFLOW] = overflow
    return frame


def refuse_twins(header: list[str]) -> None:
    twins = sorted({name for name in header if header.count(name) > 1})
    if twins:
        raise InputError(f"The header names {', '.join(twins)} twice. Rename or remove one of the columns.")


def row_index(numbers: Iterable[int]) -> "pd.Index[int]":
    index: pd.Index[int] = pd.Index(list(numbers), name="row", dtype="int64")
    return index


def row_numbers(frame: pd.DataFrame) -> list[int]:
    """The spreadsheet row of each row: as `read_table` noted it, else counted from 2."""
    return frame.index.tolist() if frame.index.name == "row" else list(range(2, len(frame) + 2))


def flag(value: str) -> bool | None:
    """A flag as people write it; None for anything else."""
    word = value.strip().lower()
    return True if word in TRUE else False if word in FALSE else None


def clean_path(path: str) -> str:
    """`./a\\b.jpg` -> `a/b.jpg`."""
    return str(PurePosixPath(path.replace("\\", "/")))


def box_of(cells: list[str]) -> tuple[int, int, int, int] | None:
    """Four cells as whole pixels, None where all are empty. Raises ValueError unless all are numbers that can be."""
    if not any(cells):
        return None
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
