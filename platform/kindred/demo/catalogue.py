"""The demo dataset: which photos there are, what they show, and the mistakes planted among them.

About 100 labels of pottery in 8 categories, 6 photos each; some photos show two objects and name them by box, some were
shot in a burst. `write_zip` draws it in the table format of PRODUCT.md; the same seed gives the same bytes.
"""

import csv
import io
import json
import signal
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from kindred.demo.pottery import PROFILES, Points, make_object
from kindred.demo.render import Placed, nudged, random_scene, render

VERSION = 1  # grows when the drawing changes, so that an old zip is not taken for the new one
SEED = 20
SIDE = 192  # pixels
DENSITY = 185  # points along an outline; the few pixels that none falls on are closed after
LABELS_PER_CATEGORY = 13
TRAIN_LABELS_PER_CATEGORY = 9
PHOTOS_PER_LABEL = 6
NAMES = ["Aare", "Douro", "Ebro", "Isar", "Loire", "Maas", "Neva", "Oder", "Rhine", "Seine", "Tagus", "Volga", "Wisla"]
COLUMNS = ["path", "label", "category", "split", "is_query", "is_gallery", "sequence", "x_1", "y_1", "x_2", "y_2"]


@dataclass(frozen=True)
class Row:
    """One line of the table: a photo, or a box in one."""

    path: str
    label: str
    category: str
    split: str
    sequence: str = ""
    box: tuple[int, int, int, int] | None = None

    def cells(self) -> list[str]:
        flag = "True" if self.split == "validation" else ""
        box = [str(side) for side in self.box] if self.box else [""] * 4
        return [self.path, self.label, self.category, self.split, flag, flag, self.sequence, *box]


@dataclass(frozen=True)
class Shot:
    """One photo to draw: its objects as (kind, design), and how to draw it."""

    path: str
    objects: tuple[tuple[str, int], ...]
    seed: tuple[int, ...]
    burst: tuple[int, ...] = ()  # the seed of the photo whose scene this one repeats a second later
    copy_of: str = ""  # drawn again, a little smaller and encoded worse: a near-duplicate


@dataclass(frozen=True)
class Mistake:
    """One planted mistake, for those who want to check what the annotation tools find."""

    kind: str  # "wrong label", "split identity", "near-duplicate", "leak"
    path: str
    truth: str


class Stopped(Exception):  # noqa: N818
    """The drawing was broken off, as asked."""


def label_name(kind: str, design: int) -> str:
    return f"{kind.capitalize()} {NAMES[design]}"


def plan() -> tuple[list[Shot], list[Row], list[Mistake]]:
    """Everything about the dataset but the pixels. Deterministic."""
    rng = np.random.default_rng(SEED)
    shots: list[Shot] = []
    rows: list[Row] = []
    for k, kind in enumerate(PROFILES):
        for design in range(LABELS_PER_CATEGORY):
            split = "train" if design < TRAIN_LABELS_PER_CATEGORY else "validation"
            label = label_name(kind, design)
            # Every fourth label was partly shot in a burst: its last three photos share a scene.
            burst_from = PHOTOS_PER_LABEL - 3 if (design + k) % 4 == 0 else PHOTOS_PER_LABEL
            for number in range(PHOTOS_PER_LABEL):
                path = f"photos/{kind}-{NAMES[design].lower()}-{number + 1}.jpg"
                seed = (SEED, k, design, number)
                in_burst = number >= burst_from
                burst = (SEED, k, design, burst_from) if number > burst_from else ()
                sequence = f"{kind}-{design}" if in_burst else ""
                shots.append(Shot(path, ((kind, design),), seed, burst))
                rows.append(Row(path, label, kind, split, sequence))
        # Three photos of a category show two objects side by side; the table names each by its box.
        for number in range(3):
            first, second = (int(d) for d in rng.choice(TRAIN_LABELS_PER_CATEGORY, 2, replace=False))
            path = f"photos/{kind}-pair-{number + 1}.jpg"
            shots.append(Shot(path, ((kind, first), (kind, second)), (SEED, k, 900, number)))
            rows += [Row(path, label_name(kind, d), kind, "train", box=(0, 0, 0, 0)) for d in (first, second)]
    return plant_mistakes(shots, rows, rng)


def plant_mistakes(
    shots: list[Shot], rows: list[Row], rng: np.random.Generator
) -> tuple[list[Shot], list[Row], list[Mistake]]:
    """Adds what PRODUCT.md promises: wrong labels, one identity under two labels, near-duplicates and one leak."""
    kinds = list(PROFILES)
    mistakes: list[Mistake] = []
    by_path = {row.path: index for index, row in enumerate(rows) if row.box is None}

    def path_of(kind: str, design: int, number: int) -> str:
        return f"photos/{kind}-{NAMES[design].lower()}-{number}.jpg"

    for kind in kinds:  # one photo in each category bears its neighbour's label, in the validation split
        path = path_of(kind, TRAIN_LABELS_PER_CATEGORY, 2)
        truth = rows[by_path[path]].label
        rows[by_path[path]] = replace(rows[by_path[path]], label=label_name(kind, TRAIN_LABELS_PER_CATEGORY + 1))
        mistakes.append(Mistake("wrong label", path, truth))
    for number in range(4, PHOTOS_PER_LABEL + 1):  # half of one vase's photos were filed under a second name
        path = path_of("vase", LABELS_PER_CATEGORY - 1, number)
        truth = rows[by_path[path]].label
        rows[by_path[path]] = replace(rows[by_path[path]], label=f"{truth} II")
        mistakes.append(Mistake("split identity", path, truth))
    copies = [(kind, int(rng.integers(TRAIN_LABELS_PER_CATEGORY)), "near-duplicate") for kind in kinds[:5]]
    copies.append((kinds[5], 0, "leak"))  # a training photo again in the validation split, under another label
    for kind, design, what in copies:
        original = path_of(kind, design, 1)
        path = original.replace("photos/", "photos/copy-")
        row = rows[by_path[original]]
        if what == "leak":
            row = replace(row, label=label_name(kind, LABELS_PER_CATEGORY - 1), split="validation")
        shots.append(
            replace(shots[next(i for i, s in enumerate(shots) if s.path == original)], path=path, copy_of=original)
        )
        rows.append(replace(row, path=path))
        mistakes.append(Mistake(what, path, original))
    return shots, rows, mistakes


@lru_cache(maxsize=4)  # photos of one label are drawn one after the other
def object_of(kind: str, design: int) -> Points:
    return make_object(kind, [SEED, *kind.encode(), design], DENSITY)


def draw(shot: Shot) -> tuple[bytes, list[tuple[int, int, int, int]]]:
    """Draws one photo; returns its JPEG and the boxes of its objects, in pixels."""
    rng = np.random.default_rng(shot.seed)
    scene = random_scene(rng)
    if shot.burst:
        scene = nudged(random_scene(np.random.default_rng(shot.burst)), rng)
    width = SIDE * 4 // 3 if len(shot.objects) > 1 else SIDE
    placed = [
        Placed(
            points=object_of(kind, design),
            x=(index + 0.5) * width / SIDE / len(shot.objects) + rng.normal(0, 0.03),
            yaw=rng.uniform(0, 2 * np.pi),
            scale=rng.uniform(0.55, 0.72) if len(shot.objects) == 1 else rng.uniform(0.5, 0.56),
        )
        for index, (kind, design) in enumerate(shot.objects)
    ]
    photo, boxes = render(placed, scene, width, SIDE)
    if shot.copy_of:
        photo = photo.resize((width * 7 // 8, SIDE * 7 // 8), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=60 if shot.copy_of else 88)
    return buffer.getvalue(), boxes


def write_zip(path: Path, *, workers: int = 2, should_stop: Callable[[], bool] = lambda: False) -> int:
    """Draws the whole dataset into a zip at `path`, written whole or not at all; returns its number of samples.

    Raises Stopped within a few photos of `should_stop` saying so.
    """
    shots, rows, mistakes = plan()
    partial = path.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w") as archive:
        with ProcessPoolExecutor(workers, initializer=_leave_signals_to_the_parent) as pool:
            for shot, (data, boxes) in zip(shots, pool.map(draw, shots, chunksize=4), strict=True):
                if should_stop():
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise Stopped
                archive.writestr(zipfile.ZipInfo(shot.path), data)
                waiting = [i for i, row in enumerate(rows) if row.path == shot.path and row.box is not None]
                for index, box in zip(waiting, boxes, strict=False):
                    rows[index] = replace(rows[index], box=box)
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(row.cells() for row in rows)
        archive.writestr(zipfile.ZipInfo("table.csv"), table.getvalue())
    partial.replace(path)
    path.with_suffix(".mistakes.json").write_text(json.dumps([asdict(mistake) for mistake in mistakes], indent=1))
    return len(rows)


def _leave_signals_to_the_parent() -> None:
    """A forked worker has the parent's handlers, which would end the site's processes once more for each worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
