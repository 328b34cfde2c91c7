"""The manifest: a snapshot's table as one parquet file, all that crosses from the site to mlcore. No torch."""

import hashlib
import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlcore.errors import InputError
from mlcore.matches import photo_groups as photo_numbers
from mlcore.table import BOX, Severity, check_table, normalise_table

SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.int64(), nullable=False),
        ("image_key", pa.string()),  # what a source turns into bytes
        ("sha256", pa.string()),  # of those bytes
        ("path", pa.string()),  # as it came in
        ("label", pa.string()),
        ("category", pa.string()),
        ("split", pa.string()),
        ("is_query", pa.bool_()),
        ("is_gallery", pa.bool_()),
        ("sequence", pa.string()),
        ("x_1", pa.int64()),  # pixels, after EXIF rotation; all four or none
        ("y_1", pa.int64()),
        ("x_2", pa.int64()),
        ("y_2", pa.int64()),
    ]
)
COLUMNS: list[str] = SCHEMA.names
FLAGS = ["is_query", "is_gallery"]
TEXTS = ["image_key", "sha256", "path", "label", "category", "split", "sequence"]


def as_manifest(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with exactly `COLUMNS`, typed, by sample id.

    sample_id int64; flags bool; box Int64, missing for a whole photo; category and sequence missing where empty; the
    rest text. Raises InputError for a missing column or an id that stands twice.
    """
    missing = [name for name in COLUMNS if name not in frame]
    if missing:
        raise InputError(f"The manifest lacks the columns {', '.join(missing)}.")
    table = frame[COLUMNS].sort_values("sample_id", kind="stable").reset_index(drop=True)
    twins = table.loc[table["sample_id"].duplicated(), "sample_id"].tolist()
    if twins:
        raise InputError(f"The manifest has {len(twins)} sample ids twice: {', '.join(map(str, twins[:5]))}.")
    table["sample_id"] = table["sample_id"].astype("int64")
    for name in TEXTS:
        table[name] = table[name].astype("str")
    for name in ("category", "sequence"):
        table[name] = table[name].where(table[name] != "", np.nan)
    for name in FLAGS:
        table[name] = table[name].astype("boolean").fillna(False).astype(bool)
    for name in BOX:
        table[name] = table[name].astype("Int64")
    return table


def write_manifest(frame: pd.DataFrame) -> bytes:
    """Parquet bytes, rows in order of sample id. Raises InputError (see `as_manifest`).

    The same rows give the same bytes: row order, index, extra columns, types and "" for a missing value do not matter.
    """
    table = pa.Table.from_pandas(as_manifest(frame), schema=SCHEMA, preserve_index=False)
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(None), buffer, compression="zstd", store_schema=False)
    return buffer.getvalue()


def read_manifest(source: Path | str | bytes | BinaryIO) -> pd.DataFrame:
    """A manifest as `as_manifest` types it: a path, bytes, or an open file. Raises InputError for anything else."""
    data = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        frame: pd.DataFrame = pq.read_table(data).to_pandas(integer_object_nulls=True)
    except pa.ArrowInvalid as error:
        raise InputError(f"This is no manifest: {error}") from None
    return as_manifest(frame)


def manifest_from_table(frame: pd.DataFrame, root: Path, *, shared_labels: Severity = "error") -> pd.DataFrame:
    """The manifest of a table (see `mlcore.table`) whose paths lie below `root`: plain folders, no database.

    Sample ids count from 1 in the table's order; an image key is the path, so `lambda key: (root / key).read_bytes()`
    is its source. Reads every file once, for its SHA-256. Raises InputError that lists every error of the table.
    """
    problems = check_table(frame, exists=lambda path: (root / path).is_file(), shared_labels=shared_labels)
    errors = [str(problem) for problem in problems if problem.severity == "error"]
    if errors:
        raise InputError(f"The table has {len(errors)} error{'s' if len(errors) > 1 else ''}.", errors)
    table = normalise_table(frame)
    sha256 = {path: file_sha256(root / path) for path in table["path"].unique()}
    table["sample_id"] = range(1, len(table) + 1)
    table["image_key"] = table["path"]
    table["sha256"] = table["path"].map(sha256)
    return as_manifest(table)


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def photo_groups(manifest: pd.DataFrame) -> pd.Series:
    """`(N,)` int64: rows of the same bytes and box share a number, so that a copy is never a match of its original."""
    return pd.Series(photo_numbers(manifest), index=manifest.index)
