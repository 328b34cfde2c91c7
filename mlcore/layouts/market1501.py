"""Market-1501 (Zheng, Shen, Tian, Wang, Wang, Tian 2015): people before six cameras, told by names of files. No torch.

`0002_c1s1_000451_03.jpg`: label 0002, camera 1. `bounding_box_train` trains, `query` searches, `bounding_box_test` is
searched. There -1 is junk, which the paper ignores and which is left out; 0000 are distractors, in the gallery alone.
The paper also ignores the gallery's photos of the query's own label by its own camera: here label and camera are the
sequence, which excludes exactly those, for samples of a sequence are never each other's neighbours.
"""

import re
from pathlib import Path

from mlcore.errors import InputError
from mlcore.layouts.base import Layout, Listed, Options, Sample

TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
NAME = re.compile(r"(-1|[0-9]{4,})_c([0-9]+)s[0-9]+_[0-9]+_[0-9]+(\.jpg)+", re.ASCII)
JUNK, DISTRACTOR = "-1", "0000"


def read_market(folder: Path, options: Options) -> Listed:
    folders = (TRAIN, QUERY, GALLERY)
    if missing := [name for name in folders if not (folder / name).is_dir()]:
        raise InputError(
            f"{folder} lacks folders of the dataset.",
            [f"{name} is not in {folder}. Name the folder that holds it." for name in missing],
        )
    problems: list[str] = []
    samples: list[Sample] = []
    junk = distractors = 0
    for name in folders:
        # Files of other kinds lie there as well: the archive has a Thumbs.db in each folder.
        files = sorted(file.name for file in (folder / name).iterdir() if file.suffix.lower() == ".jpg")
        if not files:
            problems.append(f"{name} holds no photos. Unpack the dataset again.")
        for file in files:
            match = NAME.fullmatch(file)
            if match is None:
                problems.append(f"{name}/{file} is not named LABEL_cCAMERAsSEQUENCE_FRAME_BOX.jpg.")
                continue
            label, camera = match[1], match[2]
            if label == JUNK:
                junk += 1
                continue
            if label == DISTRACTOR and name != GALLERY:
                problems.append(f"{name}/{file}: the label {DISTRACTOR} is for distractors in {GALLERY}.")
                continue
            distractors += label == DISTRACTOR
            sequence = "" if label == DISTRACTOR else f"{label}_c{camera}"
            samples.append(
                Sample(
                    f"{name}/{file}",
                    label,
                    f"{name}/{file}",
                    is_train=name == TRAIN,
                    is_query=name == QUERY,
                    is_gallery=name == GALLERY,
                    sequence=sequence,
                )
            )
    notes = [
        "Sequence: label and camera, so that a query's own label by its own camera is no neighbour, as in the paper.",
        f"Left out: {junk} junk photos (-1). In the gallery alone: {distractors} distractors (label {DISTRACTOR}).",
    ]
    return Listed(samples, problems, notes)


MARKET = Layout("market", "Market-1501", 32_217, 1_502, read_market)
