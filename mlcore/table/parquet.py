"""A parquet table as text cells. Only the known columns are read, a batch of rows at a time. No torch."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlcore.errors import InputError
from mlcore.table.limits import HEADER, KNOWN, header_text, refuse_rows, refuse_size, refuse_twins, row_index

Cells = npt.NDArray[np.object_]
BATCH_ROWS = 65_536
UNREADABLE = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)
IS_CELL = (
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    *(pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
    *(pa.types.is_temporal, pa.types.is_null),
)


def from_parquet(source: Path | bytes) -> pd.DataFrame:
    """The known columns, all cells text, as `read_table` describes. Raises InputError, before reading where it can."""
    try:
        return _frame(source)
    except InputError:
        raise
    except UNREADABLE as error:
        raise InputError(f"The table cannot be read: {error}") from None


def _frame(source: Path | bytes) -> pd.DataFrame:
    with opened(source) as file:
        metadata = file.metadata
        schema = file.schema_arrow
    header = [str(name).strip().lower() for name in schema.names]
    refuse_twins(header)
    refuse_rows(metadata.num_rows)
    fields = {name: schema.field(at) for at, name in enumerate(header) if name in KNOWN}
    for name, field in fields.items():
        refuse_type(name, field.type)
    names = [field.name for field in fields.values()]
    refuse_size(unpacked_bytes(metadata, names))
    parts: list[list[Cells]] = [[np.empty(0, dtype=object)] for _ in names]
    rows = text_bytes = 0
    # As dictionaries, so that a long cell that many rows share is in memory once.
    with opened(source, metadata=metadata, read_dictionary=names) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=names, use_threads=False):
            rows += batch.num_rows
            for part, name in zip(parts, names, strict=True):
                words, places = encoded(batch.column(name))
                text_bytes += sum(map(len, words))
                part.append(np.array([*words, ""], dtype=object)[places])
            refuse_rows(rows)  # the header of the file may have lied
            refuse_size(text_bytes)
    cells = {name: np.concatenate(part) for name, part in zip(fields, parts, strict=True)}
    frame = pd.DataFrame(cells, index=row_index(range(2, (rows if names else metadata.num_rows) + 2)), dtype=object)
    frame.attrs[HEADER] = header_text(header)
    return frame


def opened(source: Path | bytes, **options: Any) -> Any:
    return pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source, **options)


def refuse_type(name: str, kind: Any) -> None:
    """A known column holds words or numbers; of the others nothing is asked."""
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not any(is_cell(value) for is_cell in IS_CELL):
        raise InputError(f"The column {name} holds {kind}; a cell is text, a number or a flag. Save it as text.")


def unpacked_bytes(metadata: Any, names: list[str]) -> int:
    """What these columns unpack to, as the file itself says."""
    schema = metadata.schema
    places = [at for at in range(len(schema)) if schema.column(at).path in names]
    groups = (metadata.row_group(at) for at in range(metadata.num_row_groups))
    return sum(group.column(at).total_uncompressed_size for group in groups for at in places)


def encoded(column: Any) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The different cells of a column as text, and for each row which of them it is: one past the last for none."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    indices = column.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    used, places = np.unique(indices, return_inverse=True)
    gone = int(used[:1].tolist() == [-1])  # missing values come first
    words = texts(column.dictionary.take(pa.array(used[gone:])))
    return words, np.where(places < gone, len(words), places - gone)


def texts(column: Any) -> list[str]:
    """The cells of an array as text. Bytes that are no UTF-8 become lone surrogates, which `check_table` reports."""
    try:
        return [as_text(value) for value in column.to_pylist()]
    except UnicodeDecodeError:
        raw = column.cast(pa.large_binary()).to_pylist()
        return ["" if cell is None else cell.decode("utf-8", "surrogateescape").strip() for cell in raw]


def as_text(value: Any) -> str:
    """A parquet cell as a CSV would write it: 3.0 is 3, a missing value is empty."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
