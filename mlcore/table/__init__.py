"""The table of PRODUCT.md: read from any sensible file, and checked until every fault is known. No torch.

`label, path, split, is_query, is_gallery` are required; `category, sequence, x_1, y_1, x_2, y_2` are optional; other
columns are not read. Row numbers are those of a spreadsheet: the header is row 1.

    frame = read_table(Path("df.csv"))
    problems = check_table(frame, exists=lambda path: (root / path).is_file())
    table = normalise_table(frame)  # typed, once no problem is an error
"""

from mlcore.table.check import check_table
from mlcore.table.copies import check_copies
from mlcore.table.fit import Note, TrainFacts, recipe_fit, train_facts
from mlcore.table.folder import table_from_folder
from mlcore.table.guard import check_set, preflight
from mlcore.table.limits import OPTIONAL, REQUIRED
from mlcore.table.problem import MAX_LISTED, Problem, Severity, capped
from mlcore.table.read import (
    BOX,
    clean_path,
    escape_cell,
    flag,
    normalise_table,
    read_table,
    unescape_cell,
)

__all__ = [
    "BOX",
    "MAX_LISTED",
    "OPTIONAL",
    "REQUIRED",
    "Note",
    "Problem",
    "Severity",
    "TrainFacts",
    "capped",
    "check_copies",
    "check_set",
    "check_table",
    "clean_path",
    "escape_cell",
    "flag",
    "normalise_table",
    "preflight",
    "read_table",
    "recipe_fit",
    "table_from_folder",
    "train_facts",
    "unescape_cell",
]
