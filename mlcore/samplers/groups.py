"""Rows by label, labels by category."""

from collections.abc import Sequence

from mlcore.errors import InputError

Batch = list[int]
Batches = list[Batch]
Rows = list[list[int]]  # the rows of each label; labels are numbered as they appear
Categories = dict[str | None, list[int]]  # the labels of each category; None: of none


def group_rows(labels: Sequence[str]) -> Rows:
    """Raises InputError for no rows: nothing can be dealt."""
    if not len(labels):
        raise InputError("There are no training samples to form batches of. Put some labels into the train split.")
    groups: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        groups.setdefault(label, []).append(row)
    return list(groups.values())


def group_categories(rows: Rows, categories: Sequence[object] | None) -> Categories:
    """A label's category is the first that one of its rows has. Raises InputError if there is none at all."""
    groups: Categories = {}
    for label, members in enumerate(rows):
        named = (category_of(categories[row]) for row in members) if categories is not None else ()
        groups.setdefault(next((name for name in named if name), None), []).append(label)
    if not any(groups):
        raise InputError(
            "The recipe forms batches by category, and no training sample has one. "
            "Name the categories of the labels, or choose the balanced sampler."
        )
    return groups


def category_of(cell: object) -> str | None:
    """A cell of a table as a category: text that is not empty."""
    return cell if isinstance(cell, str) and cell else None
