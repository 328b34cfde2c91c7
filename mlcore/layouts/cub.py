"""CUB-200-2011 (Wah, Branson, Welinder, Perona, Belongie 2011): kinds of birds, five lists joined by ids. No torch.

`images.txt` (image_id path), `image_class_labels.txt` (image_id class_id), `classes.txt` (class_id name); for the
closed split `train_test_split.txt` (image_id is_training), for boxes `bounding_boxes.txt` (image_id x y width height).
Open split, as in papers on metric learning since Song et al. 2016: the first half of the labels trains.
"""

from pathlib import Path

from mlcore.layouts.base import Layout, Listed, Options, Sample, first_half, in_train, label_name
from mlcore.layouts.caveats import caveats
from mlcore.layouts.lists import Line, box_of, by_id, find_files, number_of

IMAGES, LABELS, NAMES = "images.txt", "image_class_labels.txt", "classes.txt"
SPLIT, BOXES = "train_test_split.txt", "bounding_boxes.txt"
TITLE = "CUB-200-2011"


def read_cub(folder: Path, options: Options) -> Listed:
    problems: list[str] = []
    wanted = [IMAGES, LABELS, NAMES]
    wanted += [SPLIT] if options.split == "closed" else []
    wanted += [BOXES] if options.boxes else []
    files = {file.name: file for file in find_files(folder, *((name,) for name in wanted))}
    paths = by_id(files[IMAGES], ("image_id", "path"), problems)
    labels = by_id(files[LABELS], ("image_id", "class_id"), problems)
    names = by_id(files[NAMES], ("class_id", "name"), problems)
    splits = by_id(files[SPLIT], ("image_id", "is_training"), problems) if SPLIT in files else {}
    boxes = by_id(files[BOXES], ("image_id", "x", "y", "width", "height"), problems) if BOXES in files else {}
    numbers = {key: number_of(line.origin, key, problems) for key, line in names.items()}
    half = first_half(number for number in numbers.values() if number)
    others = [(LABELS, labels), *((name, lines) for name, lines in ((SPLIT, splits), (BOXES, boxes)) if name in files)]
    samples = []
    for key, line in paths.items():
        lacking = [name for name, lines in others if key not in lines]
        if lacking:
            problems.append(f"{line.origin}: the image {key} is not in {', '.join(lacking)}.")
            continue
        number = numbers.get(labels[key].cells[1])
        if number is None:
            problems.append(f"{labels[key].origin}: the label {labels[key].cells[1]} is not in {NAMES}.")
            continue
        word = splits[key].cells[1] if key in splits else "0"
        if word not in ("0", "1"):
            problems.append(f"{splits[key].origin}: is_training is “{word}”, not 0 or 1.")
            continue
        name = names[labels[key].cells[1]].cells[1]  # in the dataset it begins with its number
        label = name if name.startswith(label_name(number)) else label_name(number, name)
        trains = in_train(number, half, word == "1", options)
        box = box_of(boxes[key].origin, corners(boxes[key]), problems) if key in boxes else None
        samples.append(Sample(line.origin, label, f"images/{line.cells[1]}", trains, not trains, not trains, box=box))
    return Listed(samples, problems, caveats(TITLE, "kinds of birds, not single birds", "birds", options))


def corners(line: Line) -> list[str | float]:
    """From x, y, width and height; words that are no numbers stay, to be named."""
    try:
        x, y, width, height = map(float, line.cells[1:])
    except ValueError:
        return list(line.cells[1:])
    return [x, y, x + width, y + height]


CUB = Layout("cub", TITLE, 11_788, 200, read_cub, has_closed_split=True, has_boxes=True)
