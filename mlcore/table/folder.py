"""A table for photos that lie in a folder per label. No torch."""

import hashlib
from collections.abc import Iterable
from pathlib import PurePosixPath

import pandas as pd

from mlcore.table.limits import OPTIONAL, REQUIRED
from mlcore.table.read import BOX

MIN_LABELS_TO_SPLIT = 6
VALIDATION_SHARE = 3  # one label in so many


def table_from_folder(paths: Iterable[str]) -> pd.DataFrame:
    """A table, cells as `read_table` gives them, for the relative paths of photos.

    Label: the deepest folder; where several have one name, their labels are named with the folders above, `above/name`.
    Category: the folder above the label's, where every photo lies below two or more. A folder that holds everything is
    passed over. Split: with at least 6 labels of 2 samples or more, a third of those labels (rounded down) is
    validation, query and gallery at once: those whose names have the smallest SHA-256. Otherwise all is train. A photo
    in no folder has an empty label, which `check_table` reports.
    """
    parts = [PurePosixPath(path).parts for path in paths]
    if not parts:
        return pd.DataFrame(columns=[*REQUIRED, *OPTIONAL], dtype=object)
    shared = 0  # leading folders that all photos have in common; a label folder always stays
    while all(len(part) > shared + 2 for part in parts) and len({part[shared] for part in parts}) == 1:
        shared += 1
    deep = all(len(part) > shared + 2 for part in parts)
    labels = [part[-2] if len(part) > 1 else "" for part in parts]
    categories = [part[-3] if deep else "" for part in parts]
    folders = ["/".join(part[shared:-1]) for part in parts]
    owners: dict[str, set[str]] = {}
    for label, folder in zip(labels, folders, strict=True):
        owners.setdefault(label, set()).add(folder)
    labels = [folder if len(owners[label]) > 1 else label for label, folder in zip(labels, folders, strict=True)]
    held_out = held_out_labels(labels)
    is_held_out = [label in held_out for label in labels]
    flags = ["True" if out else "" for out in is_held_out]
    columns = {
        "label": labels,
        "path": ["/".join(part) for part in parts],
        "split": ["validation" if out else "train" for out in is_held_out],
        "is_query": flags,
        "is_gallery": flags,
        "category": categories,
    }
    empty = {name: [""] * len(parts) for name in ("sequence", *BOX)}
    return pd.DataFrame({**columns, **empty}, dtype=object)


def held_out_labels(labels: list[str]) -> set[str]:
    """The labels that go to validation; none when too few have two samples."""
    counts = pd.Series(labels, dtype=object).value_counts()
    usable = [str(label) for label in counts.index[counts >= 2] if label]
    if len(usable) < MIN_LABELS_TO_SPLIT:
        return set()
    usable.sort(key=lambda label: hashlib.sha256(label.encode("utf-8", "surrogatepass")).digest())
    return set(usable[: len(usable) // VALIDATION_SHARE])
