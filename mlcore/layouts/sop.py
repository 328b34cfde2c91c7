"""Stanford Online Products (Song, Xiang, Jegelka, Savarese 2016): products of a shop, two lists. No torch.

`Ebay_train.txt` and `Ebay_test.txt`: image_id class_id super_class_id path, with a header. Label: class_id. Category:
the super class, by the name of its folder (`bicycle_final` -> `bicycle`). Test photos are query and gallery at once.
"""

from pathlib import Path, PurePosixPath

from mlcore.layouts.base import Layout, Listed, Options, Sample
from mlcore.layouts.lists import find_files, read_lines

COLUMNS = ("image_id", "class_id", "super_class_id", "path")
TRAIN, TEST = "Ebay_train.txt", "Ebay_test.txt"


def read_sop(folder: Path, options: Options) -> Listed:
    problems: list[str] = []
    samples: list[Sample] = []
    named: dict[str, tuple[str, str]] = {}  # by super class: its name, and the line that gave it
    for file in find_files(folder, (TRAIN,), (TEST,)):
        is_train = file.name == TRAIN
        for line in read_lines(file, COLUMNS, problems, has_header=True):
            _, label, super_class, path = line.cells
            category = PurePosixPath(path).parts[0].removesuffix("_final")
            name, origin = named.setdefault(super_class, (category, line.origin))
            if name != category:
                problems.append(f"{line.origin}: the super class {super_class} is {category}, but {name} in {origin}.")
            samples.append(Sample(line.origin, label, path, is_train, not is_train, not is_train, category))
    return Listed(samples, problems)


SOP = Layout("sop", "Stanford Online Products", 120_053, 22_634, read_sop)
