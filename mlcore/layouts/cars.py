"""CARS-196 (Krause, Stark, Deng, Fei-Fei 2013): kinds of cars, annotated in files of MATLAB. No torch.

Read is what is there first of: `cars_annos.csv`, a header with the names of the fields below; `cars_annos.mat`,
with relative_im_path, bbox_x1 to bbox_y2, class and test; the development kit, `devkit/cars_train_annos.mat` and
`cars_test_annos_withlabels.mat`, with fname instead and photos in `cars_train` and `cars_test`. The .mat files need
scipy. Open split, as in papers on metric learning since Song et al. 2016: the first half of the labels trains.
"""

import csv
import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlcore.errors import InputError
from mlcore.layouts.base import Layout, Listed, Options, Sample, first_half, in_train, label_name
from mlcore.layouts.caveats import caveats
from mlcore.layouts.lists import box_of, find_files, number_of

TITLE = "CARS-196"
CSV, MAT = "cars_annos.csv", "cars_annos.mat"
TRAIN = ("devkit/cars_train_annos.mat", "cars_train_annos.mat")
TEST = ("cars_test_annos_withlabels.mat", "devkit/cars_test_annos_withlabels.mat")
META = ("devkit/cars_meta.mat", "cars_meta.mat")
CORNERS = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
FIELDS = ("relative_im_path", *CORNERS, "class", "test")


@dataclass(frozen=True)
class Annotation:
    origin: str
    path: str
    number: int
    is_test: bool
    corners: tuple[Any, ...]  # from 1, both ends inside the box


def read_cars(folder: Path, options: Options) -> Listed:
    problems: list[str] = []
    if (folder / CSV).is_file():
        found, names = from_csv(folder / CSV, problems), []
    elif (folder / MAT).is_file() or not any((folder / place).is_file() for place in (*TRAIN, *TEST)):
        (file,) = find_files(folder, (MAT, CSV))
        content = load_mat(file)
        found, names = annotations(file, content, "", None, problems), class_names(content)
    else:
        train, test, meta = find_files(folder, TRAIN, TEST, META)
        found = annotations(train, load_mat(train), "cars_train/", False, problems)
        found += annotations(test, load_mat(test), "cars_test/", True, problems)
        names = class_names(load_mat(meta))
    half = first_half(each.number for each in found)
    samples = []
    for each in found:
        box = box_of(each.origin, each.corners, problems) if options.boxes else None
        box = (box[0] - 1, box[1] - 1, box[2], box[3]) if box else None  # MATLAB counts from 1, with both ends
        name = names[each.number - 1] if each.number <= len(names) else ""
        label = label_name(each.number, name)
        trains = in_train(each.number, half, not each.is_test, options)
        samples.append(Sample(each.origin, label, each.path, trains, not trains, not trains, box=box))
    return Listed(samples, problems, caveats(TITLE, "kinds of cars, not single cars", "cars", options))


def load_mat(file: Path) -> dict[str, Any]:
    """Raises InputError without scipy, and for what is no such file."""
    try:
        scipy_io = importlib.import_module("scipy.io")
    except ImportError:
        text = f"{file.name} is a file of MATLAB; reading it needs scipy: pip install 'kindred[layouts]'."
        raise InputError(f"{text} Or put {CSV} beside it, with the columns {','.join(FIELDS)}.") from None
    try:
        content: dict[str, Any] = scipy_io.loadmat(str(file), simplify_cells=True)
    except Exception as error:  # scipy raises whatever its parser trips over
        raise InputError(f"{file} is no file of MATLAB that can be read: {error}. Fetch it again.") from None
    return content


def class_names(content: Mapping[str, Any]) -> list[str]:
    names = content.get("class_names", [])
    return [names] if isinstance(names, str) else [str(name).strip() for name in names]


def annotations(
    file: Path, content: Mapping[str, Any], folder: str, is_test: bool | None, problems: list[str]
) -> list[Annotation]:
    """is_test: None where the annotations say so themselves."""
    listed = content.get("annotations")
    if listed is None:
        raise InputError(f"{file} has no annotations. It is another file than {MAT} or those of the devkit.")
    rows = [listed] if isinstance(listed, Mapping) else list(listed)
    return checked(file, "annotation", 1, rows, folder, is_test, problems)


def from_csv(file: Path, problems: list[str]) -> list[Annotation]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows: list[dict[str, Any]] = list(csv.DictReader(lines))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} is no CSV in UTF-8: {error}") from None
    return checked(file, "row", 2, rows, "", None, problems)


def checked(
    file: Path,
    what: str,
    first: int,
    rows: Iterable[Mapping[str, Any]],
    folder: str,
    is_test: bool | None,
    problems: list[str],
) -> list[Annotation]:
    """what, first: how a row is called in messages, and the number of the first."""
    name = "relative_im_path" if is_test is None else "fname"
    needed = (name, *CORNERS, "class", *(["test"] if is_test is None else []))
    found = []
    for number, row in enumerate(rows, start=first):
        origin = f"{file.name}, {what} {number}"
        lacking = [field for field in needed if row.get(field) is None]
        if lacking or None in row:  # csv keeps under None the cells that are past the header
            extra = f"it lacks {', '.join(lacking)}" if lacking else "it has more cells than the header"
            problems.append(f"{origin}: {extra}. The columns are {','.join(needed)}.")
            continue
        label = number_of(origin, str(row["class"]).strip(), problems)
        test = str(row.get("test", is_test)).strip()
        if is_test is None and test not in ("0", "1"):
            problems.append(f"{origin}: test is “{test}”, not 0 or 1.")
        elif label is not None:
            path = f"{folder}{str(row[name]).strip()}"
            in_test = test == "1" if is_test is None else is_test
            found.append(Annotation(origin, path, label, in_test, tuple(row[corner] for corner in CORNERS)))
    if not found and not problems:
        problems.append(f"{file.name} lists nothing.")
    return found


CARS = Layout("cars", TITLE, 16_185, 196, read_cars, has_closed_split=True, has_boxes=True)
