"""Public datasets as their authors lay them out, tiny and drawn."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mlcore.layouts import Converted
from tests.mlcore.photos import draw


def write(root: Path, name: str, lines: Sequence[str], *, end: str = "\n", encoding: str = "utf-8") -> Path:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes("".join(line + end for line in lines).encode(encoding))
    return file


def photo(root: Path, path: str, label: int = 0, sample: int = 0) -> str:
    """A drawn photo of 48 x 48 pixels, of which each label and sample has its own. Returns the path."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(draw(label, sample))
    return path


def rows(converted: Converted, *columns: str) -> list[tuple[str, ...]]:
    return [tuple(row) for row in converted.table[list(columns)].itertuples(index=False)]


def empty(table: pd.DataFrame) -> set[str]:
    """The columns in which nothing stands."""
    return {name for name in table if not table[name].any()}


def make_sop(root: Path, *, labels: int = 4, samples: int = 2) -> Path:
    """The lower half of the labels trains. Labels are bicycles and chairs in turn."""
    lists: dict[str, list[str]] = {"Ebay_train.txt": [], "Ebay_test.txt": []}
    number = 0
    for label in range(1, labels + 1):
        category = ("bicycle", "chair")[label % 2]
        for sample in range(samples):
            number += 1
            path = photo(root, f"{category}_final/{label}{number:05}_{sample}.JPG", label, sample)
            name = "Ebay_train.txt" if label <= labels // 2 else "Ebay_test.txt"
            lists[name].append(f"{number} {label} {label % 2 + 1} {path}")
    for name, lines in lists.items():
        write(root, name, ["image_id class_id super_class_id path", *lines])
    return root


def make_inshop(root: Path, *, labels: int = 4, samples: int = 2, place: str = "img") -> Path:
    """The lower half trains; of the others the first photo is the query, the rest the gallery."""
    lines = []
    boxes = []
    for label in range(1, labels + 1):
        category = ("MEN/Shorts", "WOMEN/Shorts")[label % 2]
        for sample in range(samples):
            name = f"{category}/id_{label:08}/0{sample}_1_front.jpg"
            photo(root, f"{place}/{name}", label, sample)
            status = "train" if label <= labels // 2 else "gallery" if sample else "query"
            lines.append(f"img/{name}   id_{label:08}   {status}")
            boxes.append(f"img/{name}  1  2  004 006 044 0{47 + sample}")
    header = "image_name item_id evaluation_status"
    write(root, "Eval/list_eval_partition.txt", [str(len(lines)), header, *lines])
    header = "image_name clothes_type pose_type x_1 y_1 x_2 y_2"
    write(root, "Anno/list_bbox_inshop.txt", [str(len(boxes)), header, *boxes])
    return root


def make_cub(root: Path, *, labels: int = 4, samples: int = 2) -> Path:
    """Of each label the first half of the photos is the dataset's own train split."""
    lists: dict[str, list[str]] = {
        name: []
        for name in (
            "images.txt",
            "image_class_labels.txt",
            "classes.txt",
            "train_test_split.txt",
            "bounding_boxes.txt",
        )
    }
    number = 0
    for label in range(1, labels + 1):
        name = f"{label:03}.Bird_{label}"
        lists["classes.txt"].append(f"{label} {name}")
        for sample in range(samples):
            number += 1
            photo(root, f"images/{name}/Bird_{number:04}.jpg", label, sample)
            lists["images.txt"].append(f"{number} {name}/Bird_{number:04}.jpg")
            lists["image_class_labels.txt"].append(f"{number} {label}")
            lists["train_test_split.txt"].append(f"{number} {int(sample < samples // 2)}")
            lists["bounding_boxes.txt"].append(f"{number} 4.0 6.0 40.0 {40.0 + 2 * sample}")
    for name, lines in lists.items():
        write(root, name, lines)
    return root


CARS_HEADER = "relative_im_path,bbox_x1,bbox_y1,bbox_x2,bbox_y2,class,test"


def make_cars(root: Path, *, labels: int = 4, samples: int = 2) -> Path:
    """As `cars_annos.csv`. The second half of each label's photos is the dataset's own test split."""
    lines = []
    for label in range(1, labels + 1):
        for sample in range(samples):
            path = photo(root, f"car_ims/{label:03}{sample:03}.jpg", label, sample)
            lines.append(f"{path},5,7,44,{46 + 2 * sample},{label},{int(sample >= samples // 2)}")
    write(root, "cars_annos.csv", [CARS_HEADER, *lines])
    return root


def make_market(root: Path, *, labels: int = 4, cameras: int = 2) -> Path:
    """The lower half of the labels trains, a photo by each camera; of the others each camera has query and gallery."""
    for label in range(1, labels + 1):
        for camera in range(1, cameras + 1):
            folders = ("bounding_box_train",) if label <= labels // 2 else ("query", "bounding_box_test")
            for sample, folder in enumerate(folders):
                name = f"{label:04}_c{camera}s1_{camera:05}1_0{sample}.jpg"
                photo(root, f"{folder}/{name}", label, 10 * camera + sample)
    photo(root, "bounding_box_test/0000_c1s1_000001_01.jpg", 90)
    photo(root, "bounding_box_test/-1_c1s1_000002_02.jpg", 91)
    write(root, "query/Thumbs.db", ["not a photo"])
    return root


MAKERS = {"sop": make_sop, "inshop": make_inshop, "cub": make_cub, "cars": make_cars, "market": make_market}
