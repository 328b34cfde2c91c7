"""One photo under two paths, which only the bytes of the files tell. No torch."""

from collections.abc import Iterator, Mapping

import pandas as pd

from mlcore.table.problem import Problem, shown
from mlcore.table.read import BOX, clean_path, row_numbers

OTHER = {"train": "validation", "validation": "train"}


def check_copies(frame: pd.DataFrame, sha256: Mapping[str, str]) -> Iterator[Problem]:
    """Files with the bytes of an earlier row's, of a table as `read_table` gives it. sha256: by clean path.

    In both splits, with one box: an error, for what trains would be measured; with another box: a warning. In one
    split, with one box: a warning, for copies count once and never match each other; other boxes are other samples. The
    same path twice is for `check_table` to tell.
    """
    nothing = [""] * len(frame)
    boxes = zip(*(frame.get(name, nothing) for name in BOX), strict=True)
    first: dict[tuple[str, ...], tuple[int, str]] = {}  # row and path, by bytes and split, and by these and the box
    for number, raw, word, box in zip(row_numbers(frame), frame["path"], frame["split"], boxes, strict=True):
        path, split = clean_path(raw), word.lower()
        if path not in sha256:
            continue
        digest, other = sha256[path], OTHER.get(split, "")
        leaked, beside, twin = (
            first.get(key) for key in ((digest, other, *box), (digest, other), (digest, split, *box))
        )
        first.setdefault((digest, split, *box), (number, path))
        first.setdefault((digest, split), (number, path))
        row, original = leaked or beside or twin or (number, path)
        if original == path:
            continue
        text = f"{shown(path)} is a copy of {shown(original)}, row {row}"
        if leaked:
            yield Problem(number, "path", f"{text}, which is in the other split.", "Remove one of them.")
        elif beside:
            text += ", which is in the other split: their boxes share one background."
            yield Problem(number, "path", text, "Put all boxes of a photo into one split.", "warning")
        else:
            yield Problem(number, "path", f"{text}; they count as one sample.", "Remove one of them.", "warning")
