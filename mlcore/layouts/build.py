"""From what a dataset lists to a sound table: every photo is there, every rule of the format is kept. No torch."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from mlcore.errors import InputError
from mlcore.layouts.base import Box, Converted, Counts, Layout, Options, Sample, SplitWord
from mlcore.layouts.cars import CARS
from mlcore.layouts.cub import CUB
from mlcore.layouts.inshop import INSHOP
from mlcore.layouts.market1501 import MARKET
from mlcore.layouts.sop import SOP
from mlcore.table import BOX, OPTIONAL, REQUIRED, Problem, check_table

ImageSize = Callable[[Path], tuple[int, int] | None]
LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (SOP, INSHOP, CUB, CARS, MARKET)}
MAX_LISTED = 1000  # problems: past that an unpacked half of a dataset would fill the screen for minutes


def convert(
    name: str,
    folder: Path,
    *,
    split: SplitWord = "open",
    boxes: bool = False,
    image_size: ImageSize | None = None,
) -> Converted:
    """The table of a dataset in `folder`. name: a key of LAYOUTS.

    split: open, labels are in one split only; closed, the dataset's own split of its photos, with all labels in both.
    boxes: samples get the dataset's boxes. image_size: (width, height) of a photo in pixels, None when unreadable;
    boxes that leave it are cut. Raises InputError that lists every fault of the lists, every photo that is missing,
    and whatever `check_table` finds.
    """
    layout = LAYOUTS[name]
    refuse_options(layout, Options(split, boxes))
    listed = layout.read(folder, Options(split, boxes))
    refuse(f"The lists of {layout.title} in {folder} have faults.", listed.problems)
    refuse_missing(layout, folder, listed.samples)
    samples, notes = one_category(listed.samples)
    if boxes and image_size is not None:
        samples, more = cut_boxes(folder, samples, image_size)
        notes += more
    table = table_of(samples)
    problems = check_table(table, shared_labels="warning" if split == "closed" else "error", most=None)
    errors = [problem for problem in problems if problem.severity == "error"]
    refuse(f"{layout.title} in {folder} makes no sound table.", [with_origin(problem, samples) for problem in errors])
    counts = counts_of(table)
    notes = [*whole_or_not(layout, counts), *listed.notes, *notes, *told(problems)]
    return Converted(table, counts, notes)


def refuse_options(layout: Layout, options: Options) -> None:
    if options.split == "closed" and not layout.has_closed_split:
        raise InputError(f"{layout.title} has one split, in which train and validation share no label: leave it open.")
    if options.boxes and not layout.has_boxes:
        raise InputError(f"{layout.title} has no boxes.")


def refuse(message: str, problems: list[str]) -> None:
    """Raises InputError that lists the problems, if there are any."""
    if problems:
        more = len(problems) - MAX_LISTED
        raise InputError(message, [*problems[:MAX_LISTED], *([f"and {more} more."] if more > 0 else [])])


def refuse_missing(layout: Layout, folder: Path, samples: list[Sample]) -> None:
    missing = [sample for sample in samples if not (folder / sample.path).is_file()]
    if not missing:
        return
    which = f"{len(missing)} of the {len(samples)} photos of {layout.title} are"
    if len(missing) == len(samples):
        which = f"None of the {len(samples)} photos of {layout.title} is"
    message = f"{which} in {folder}. Unpack its photos there."
    refuse(message, [f"{sample.origin}: {sample.path} is not there." for sample in missing])


def one_category(samples: list[Sample]) -> tuple[list[Sample], list[str]]:
    """A label keeps the category that most of its samples have; of as many the first. And a note where one had more."""
    found: dict[str, Counter[str]] = {}
    for sample in samples:
        found.setdefault(sample.label, Counter())[sample.category] += 1
    several = {label: counts.most_common(1)[0][0] for label, counts in found.items() if len(counts) > 1}
    if not several:
        return samples, []
    note = f"{len(several)} labels are listed under several categories; each keeps that of most of its samples."
    return [replace(each, category=several.get(each.label, each.category)) for each in samples], [note]


def cut_boxes(folder: Path, samples: list[Sample], image_size: ImageSize) -> tuple[list[Sample], list[str]]:
    """Boxes inside their photos. One that lies outside stays, for the table's check to refuse."""
    done = []
    cut = 0
    for sample in samples:
        size = image_size(folder / sample.path) if sample.box else None
        if sample.box and size:
            box = inside(sample.box, size)
            cut += box != sample.box
            done.append(replace(sample, box=box))
        else:
            done.append(sample)
    return done, [f"{cut} boxes reached out of their photos and were cut."] if cut else []


def inside(box: Box, size: tuple[int, int]) -> Box:
    x_1, y_1, x_2, y_2 = box
    width, height = size
    return max(0, x_1), max(0, y_1), min(width, x_2), min(height, y_2)


def table_of(samples: list[Sample]) -> pd.DataFrame:
    """Cells as text; the flags of train rows are empty."""
    corners = [tuple(map(str, sample.box)) if sample.box else ("",) * 4 for sample in samples]
    columns = {
        "label": [sample.label for sample in samples],
        "path": [sample.path for sample in samples],
        "split": ["train" if sample.is_train else "validation" for sample in samples],
        "is_query": ["" if sample.is_train else str(sample.is_query) for sample in samples],
        "is_gallery": ["" if sample.is_train else str(sample.is_gallery) for sample in samples],
        "category": [sample.category for sample in samples],
        "sequence": [sample.sequence for sample in samples],
        **{name: [corner[at] for corner in corners] for at, name in enumerate(BOX)},
    }
    return pd.DataFrame(columns, columns=[*REQUIRED, *OPTIONAL], dtype=object)


def with_origin(problem: Problem, samples: list[Sample]) -> str:
    """The problem with the place in the dataset's own list instead of the row of a table that is not there yet."""
    if problem.row < 2:
        return str(problem)
    return f"{samples[problem.row - 2].origin}, {problem.column}: {problem.message} {problem.remedy}"


def counts_of(table: pd.DataFrame) -> Counts:
    train = table[table["split"] == "train"]
    validation = table[table["split"] == "validation"]
    return Counts(
        samples=len(table),
        labels=table["label"].nunique(),
        categories=table.loc[table["category"] != "", "category"].nunique(),
        train_samples=len(train),
        train_labels=train["label"].nunique(),
        validation_samples=len(validation),
        validation_labels=validation["label"].nunique(),
        queries=int((table["is_query"] == "True").sum()),
        gallery=int((table["is_gallery"] == "True").sum()),
    )


def whole_or_not(layout: Layout, counts: Counts) -> list[str]:
    if (counts.samples, counts.labels) == (layout.samples, layout.labels):
        return []
    text = (
        f"This is not the whole of {layout.title}, which has {layout.samples:,} samples of {layout.labels:,} labels: "
    )
    return [text + "figures on it do not compare with published ones."]


def told(problems: list[Problem]) -> list[str]:
    """Warnings of the check by their number: `python -m mlcore check` lists them."""
    by_column = Counter(problem.column for problem in problems if problem.severity == "warning")
    notes = []
    if count := by_column["label"]:
        notes.append(f"{count} train labels have one sample, from which little can be learned.")
    if count := by_column["is_query"]:
        notes.append(f"{count} queries have no match in the gallery, and no report counts them.")
    return notes
