"""The manifest: a snapshot's table as one parquet file, all that crosses from the site to mlcore. No torch."""

import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        ("sample_id", pa.int64()),
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
COLUMNS = SCHEMA.names
DTYPES = dict.fromkeys(("x_1", "y_1", "x_2", "y_2"), "Int64") | {"sample_id": "int64"}


def write_manifest(frame: pd.DataFrame) -> bytes:
    """Parquet bytes, rows in order of sample id. The same rows give the same bytes, whatever wrote them before."""
    ordered = frame[COLUMNS].sort_values("sample_id", kind="stable")
    table = pa.Table.from_pandas(ordered, schema=SCHEMA, preserve_index=False).replace_schema_metadata(None)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def read_manifest(source: Path | bytes) -> pd.DataFrame:
    """A manifest as a frame with `COLUMNS`; empty category, sequence and box cells are missing values."""
    table = pq.read_table(io.BytesIO(source) if isinstance(source, bytes) else source, schema=SCHEMA)
    frame: pd.DataFrame = table.to_pandas()
    return frame.astype(DTYPES)


def photo_groups(manifest: pd.DataFrame) -> pd.Series:
    """`(N,)` int64: rows of the same bytes and box share a number, so that a copy is never a match of its original."""
    boxes = manifest[["x_1", "y_1", "x_2", "y_2"]].astype("Int64").fillna(-1)
    keys = pd.concat([manifest["sha256"], boxes], axis=1)
    return keys.groupby(list(keys.columns), sort=False, dropna=False).ngroup().astype("int64")
