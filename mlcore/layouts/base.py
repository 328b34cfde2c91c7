"""What a layout is, and what a conversion gives. No torch."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

SplitWord = Literal["open", "closed"]
Box = tuple[int, int, int, int]  # x_1, y_1, x_2, y_2 in pixels


@dataclass(frozen=True)
class Options:
    """split: whether train and validation share labels. boxes: whether samples get the dataset's boxes."""

    split: SplitWord = "open"
    boxes: bool = False


@dataclass(frozen=True)
class Sample:
    """A row to be. origin: where the dataset lists it, for messages. path: relative to the dataset's folder."""

    origin: str
    label: str
    path: str
    is_train: bool
    is_query: bool = False
    is_gallery: bool = False
    category: str = ""
    sequence: str = ""
    box: Box | None = None


@dataclass(frozen=True)
class Listed:
    """What a dataset's own lists say. problems: every fault of theirs. notes: what people should know of the table."""

    samples: list[Sample]
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Layout:
    """A dataset as its authors lay it out. samples, labels: how many a whole copy has, as a table holds them."""

    name: str
    title: str
    samples: int
    labels: int
    read: Callable[[Path, Options], Listed]
    has_closed_split: bool = False
    has_boxes: bool = False


@dataclass(frozen=True)
class Counts:
    """How many a table has; categories: 0 where none is named."""

    samples: int
    labels: int
    categories: int
    train_samples: int
    train_labels: int
    validation_samples: int
    validation_labels: int
    queries: int
    gallery: int


@dataclass(frozen=True)
class Converted:
    """table: cells as `read_table` gives them, sound by `check_table`."""

    table: pd.DataFrame
    counts: Counts
    notes: list[str]


def first_half(numbers: Iterable[int]) -> set[int]:
    """The lower half of the labels' numbers, which trains in the papers' split of CUB and CARS.

    >>> first_half([4, 2, 1, 3, 3])
    {1, 2}
    """
    ordered = sorted(set(numbers))
    return set(ordered[: len(ordered) // 2])


def in_train(number: int, half: set[int], own_word: bool, options: Options) -> bool:
    """Whether a photo of CUB or CARS trains. open: its label's `number` decides; closed: the dataset's `own_word`."""
    return number in half if options.split == "open" else own_word


def label_name(number: int, name: str = "") -> str:
    """Unique, and in the dataset's order.

    >>> label_name(7, "Audi TT")
    '007.Audi TT'
    """
    return f"{number:03}.{name}" if name else f"{number:03}"
