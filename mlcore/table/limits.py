"""What a table may hold: its columns, and how much of it is read. No torch."""

from collections import Counter
from collections.abc import Iterable, Sequence

import pandas as pd

from mlcore.errors import InputError
from mlcore.table.problem import shown

REQUIRED = ["label", "path", "split", "is_query", "is_gallery"]
OPTIONAL = ["category", "sequence", "x_1", "y_1", "x_2", "y_2"]
KNOWN = [*REQUIRED, *OPTIONAL]
HEADER = "header"  # the key, in the attributes of a frame, of the names of all columns that the file has
MAX_ROWS = 2_000_000
MAX_BYTES = 512 * 2**20  # of a text file; of a parquet file's known columns, unpacked: 268 for each of so many rows
IN_PARTS = "Split it into several tables, each with its photos"


def refuse_rows(rows: int) -> None:
    if rows > MAX_ROWS:
        raise InputError(f"The table has {rows:,} rows; at most {MAX_ROWS:,} are read. {IN_PARTS}.")


def refuse_size(size_bytes: int) -> None:
    if size_bytes > MAX_BYTES:
        found, limit = size_bytes / 2**20, MAX_BYTES / 2**20
        text = f"The table holds {found:,.1f} MiB of text; at most {limit:,.0f} MiB are read."
        raise InputError(f"{text} {IN_PARTS}, or leave out columns that are not needed.")


def refuse_twins(header: Sequence[str]) -> None:
    twins = sorted(name for name, count in Counter(header).items() if count > 1)
    if twins:
        raise InputError(f"The header names {header_text(twins)} twice. Rename or remove one of the columns.")


def header_text(names: Iterable[object]) -> str:
    """The names of columns for a message."""
    return shown(", ".join(map(str, names)), 1000)


def row_index(numbers: Iterable[int]) -> "pd.Index[int]":
    index: pd.Index[int] = pd.Index(list(numbers), name="row", dtype="int64")
    return index
