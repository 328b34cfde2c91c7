"""DeepFashion In-shop Clothes Retrieval (Liu, Luo, Qiu, Wang, Tang 2016): clothes, their own queries. No torch.

`Eval/list_eval_partition.txt`: how many lines, then image_name item_id evaluation_status (train, query, gallery).
Label: item_id. Category: the two folders above the item's (`WOMEN/Dresses`). The boxes of `Anno/list_bbox_inshop.txt`
are in the pixels of the photos in `img`, 256 on the longer side.
"""

from pathlib import Path, PurePosixPath

from mlcore.errors import InputError
from mlcore.layouts.base import Box, Layout, Listed, Options, Sample
from mlcore.layouts.lists import box_of, find_files, read_lines

COLUMNS = ("image_name", "item_id", "evaluation_status")
BOX_COLUMNS = ("image_name", "clothes_type", "pose_type", "x_1", "y_1", "x_2", "y_2")
PARTITION = ("Eval/list_eval_partition.txt", "list_eval_partition.txt")
BOXES = ("Anno/list_bbox_inshop.txt", "list_bbox_inshop.txt")
SMALL, LARGE = "img", "img_highres"
PLACES = (SMALL, f"Img/{SMALL}", LARGE, f"Img/{LARGE}")


def read_inshop(folder: Path, options: Options) -> Listed:
    problems: list[str] = []
    partition, *box_file = find_files(folder, PARTITION, *([BOXES] if options.boxes else []))
    place = next((place for place in PLACES if (folder / place).is_dir()), SMALL)
    if options.boxes and place.endswith(LARGE):
        text = f"The boxes are in the pixels of the photos in {SMALL}; {folder} has those of {LARGE} alone."
        raise InputError(f"{text} Unpack {SMALL}.zip too, or leave the boxes out.")
    boxes = read_boxes(box_file[0], problems) if box_file else {}
    samples = []
    for line in read_lines(partition, COLUMNS, problems, has_header=True, has_count=True):
        name, label, status = line.cells
        parts = PurePosixPath(name).parts
        if parts[0] != SMALL or len(parts) < 4:
            problems.append(f"{line.origin}: {name} is not {SMALL}/.../CATEGORY/ITEM/PHOTO.")
            continue
        if status not in ("train", "query", "gallery"):
            problems.append(f"{line.origin}: the status is “{status}”, not train, query or gallery.")
            continue
        if box_file and name not in boxes:
            problems.append(f"{line.origin}: {name} has no box in {box_file[0].name}.")
        samples.append(
            Sample(
                line.origin,
                label,
                "/".join([place, *parts[1:]]),
                is_train=status == "train",
                is_query=status == "query",
                is_gallery=status == "gallery",
                category="/".join(parts[1:-2]),
                box=boxes.get(name),
            )
        )
    return Listed(samples, problems, [f"Photos: those in {place}."])


def read_boxes(file: Path, problems: list[str]) -> dict[str, Box | None]:
    lines = read_lines(file, BOX_COLUMNS, problems, has_header=True, has_count=True)
    return {line.cells[0]: box_of(line.origin, line.cells[3:], problems) for line in lines}


INSHOP = Layout("inshop", "DeepFashion In-shop", 52_712, 7_982, read_inshop, has_boxes=True)
