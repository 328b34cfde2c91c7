"""CARS-196: annotations as CSV, as one file of MATLAB, as the development kit; half of the labels, or the own split."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlcore.errors import InputError
from mlcore.images import image_size
from mlcore.layouts import Counts, convert
from tests.mlcore.layouts.folders import CARS_HEADER, make_cars, photo, rows, write

NAMES = ["AM General Hummer SUV 2000", "Acura RL Sedan 2012"]


def structs(records: list[dict[str, Any]]) -> Any:
    """A MATLAB struct array, (1, N)."""
    array = np.empty((1, len(records)), dtype=[(name, object) for name in records[0]])
    for place, record in enumerate(records):
        array[0, place] = tuple(record.values())
    return array


def cells(names: list[str]) -> Any:
    array = np.empty((1, len(names)), dtype=object)
    array[0, :] = names
    return array


def record(path: str, label: int, **more: int) -> dict[str, Any]:
    name = "relative_im_path" if "test" in more else "fname"
    return {name: path, "bbox_x1": 5, "bbox_y1": 7, "bbox_x2": 44, "bbox_y2": 46, "class": label, **more}


def test_every_row_of_the_open_split(tmp_path: Path) -> None:
    converted = convert("cars", make_cars(tmp_path, labels=2))
    assert rows(converted, "label", "path", "split", "is_query", "is_gallery", "category") == [
        ("001", "car_ims/001000.jpg", "train", "", "", ""),
        ("001", "car_ims/001001.jpg", "train", "", "", ""),
        ("002", "car_ims/002000.jpg", "validation", "True", "True", ""),
        ("002", "car_ims/002001.jpg", "validation", "True", "True", ""),
    ]
    assert converted.counts == Counts(4, 2, 0, 2, 1, 2, 1, 2, 2)
    assert any(
        note.startswith("Closed-set caveat: the labels of CARS-196 are kinds of cars") for note in converted.notes
    )


def test_the_first_ninety_eight_train(tmp_path: Path) -> None:
    table = convert("cars", make_cars(tmp_path, labels=196)).table
    assert set(table.loc[table["split"] == "train", "label"]) == {f"{label:03}" for label in range(1, 99)}
    assert set(table.loc[table["split"] == "validation", "label"]) == {f"{label:03}" for label in range(99, 197)}


def test_the_closed_split_is_the_datasets_own(tmp_path: Path) -> None:
    converted = convert("cars", make_cars(tmp_path, labels=2, samples=4), split="closed")
    assert converted.table["split"].tolist() == ["train", "train", "validation", "validation"] * 2
    assert any(note.startswith("Closed split") for note in converted.notes)


def test_boxes_count_from_one(tmp_path: Path) -> None:
    converted = convert("cars", make_cars(tmp_path, labels=2), boxes=True, image_size=image_size)
    assert rows(converted, "x_1", "y_1", "x_2", "y_2") == [("4", "6", "44", "46"), ("4", "6", "44", "48")] * 2


def test_a_csv_of_windows_is_the_same(tmp_path: Path) -> None:
    plain = convert("cars", make_cars(tmp_path)).table
    lines = (tmp_path / "cars_annos.csv").read_text().splitlines()
    write(tmp_path, "cars_annos.csv", lines, end="\r\n", encoding="utf-8-sig")
    assert convert("cars", tmp_path).table.equals(plain)


def test_the_file_of_matlab_gives_the_names_too(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    files = [photo(tmp_path, f"car_ims/00000{n}.jpg", n) for n in range(4)]
    listed = [record(file, n // 2 + 1, test=n % 2) for n, file in enumerate(files)]
    scipy_io.savemat(tmp_path / "cars_annos.mat", {"annotations": structs(listed), "class_names": cells(NAMES)})
    converted = convert("cars", tmp_path, boxes=True)
    assert rows(converted, "label", "path", "split", "x_1", "y_1", "x_2", "y_2") == [
        (f"001.{NAMES[0]}", "car_ims/000000.jpg", "train", "4", "6", "44", "46"),
        (f"001.{NAMES[0]}", "car_ims/000001.jpg", "train", "4", "6", "44", "46"),
        (f"002.{NAMES[1]}", "car_ims/000002.jpg", "validation", "4", "6", "44", "46"),
        (f"002.{NAMES[1]}", "car_ims/000003.jpg", "validation", "4", "6", "44", "46"),
    ]


def test_the_development_kit_has_its_photos_in_two_folders(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    (tmp_path / "devkit").mkdir()
    for part, kit in (("train", "devkit/cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        for n in range(2):
            photo(tmp_path, f"cars_{part}/0000{n}.jpg", n, len(part))
        listed = [record(f"0000{n}.jpg", n + 1) for n in range(2)]
        scipy_io.savemat(tmp_path / kit, {"annotations": structs(listed)})
    with pytest.raises(InputError, match=r"devkit/cars_meta.mat or cars_meta.mat is not in"):
        convert("cars", tmp_path)
    scipy_io.savemat(tmp_path / "devkit/cars_meta.mat", {"class_names": cells(NAMES)})
    assert rows(convert("cars", tmp_path), "label", "path", "split") == [
        (f"001.{NAMES[0]}", "cars_train/00000.jpg", "train"),
        (f"002.{NAMES[1]}", "cars_train/00001.jpg", "validation"),
        (f"001.{NAMES[0]}", "cars_test/00000.jpg", "train"),
        (f"002.{NAMES[1]}", "cars_test/00001.jpg", "validation"),
    ]
    with pytest.raises(InputError, match="no sound table"):  # not one query has a match: a label has one test photo
        convert("cars", tmp_path, split="closed")


def test_without_scipy_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cars_annos.mat").write_bytes(b"MATLAB")
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(InputError, match=r"needs scipy: pip install 'kindred\[layouts\]'. Or put cars_annos.csv"):
        convert("cars", tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"MATLAB 5.0 MAT-file", b"\x00" * 400, b"PK\x03\x04", b"\x89HDF\r\n\x1a\n" * 90]
)
def test_a_file_that_is_none_of_matlab_is_refused(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("scipy.io")
    (tmp_path / "cars_annos.mat").write_bytes(content)
    with pytest.raises(InputError, match=r"cars_annos.mat (is no file of MATLAB|has no annotations)"):
        convert("cars", tmp_path)


def test_no_annotations_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cars_annos.mat or cars_annos.csv is not in"):
        convert("cars", tmp_path)
    make_cars(tmp_path / "inner")
    with pytest.raises(InputError, match=r"It is in .*/inner: name that folder"):
        convert("cars", tmp_path)


def test_every_faulty_row_is_named(tmp_path: Path) -> None:
    files = [photo(tmp_path, f"car_ims/{n}.jpg", n) for n in range(2)]
    good = [f"{file},1,1,9,9,{n + 1},0" for n, file in enumerate(files)]
    bad = ["a.jpg,1,1,9,9,0,0", "b.jpg,1,1,9,9,1,maybe", "c.jpg,1,1,9", "d.jpg,1,1,9,9,1,0,more", "e.jpg,1,1,w,9,1,0"]
    write(tmp_path, "cars_annos.csv", [CARS_HEADER, *good, *bad])
    with pytest.raises(InputError) as caught:
        convert("cars", tmp_path, boxes=True)
    assert caught.value.problems == [
        "cars_annos.csv, row 4: “0” is no number of a label.",
        "cars_annos.csv, row 5: test is “maybe”, not 0 or 1.",
        f"cars_annos.csv, row 6: it lacks bbox_y2, class, test. The columns are {CARS_HEADER}.",
        f"cars_annos.csv, row 7: it has more cells than the header. The columns are {CARS_HEADER}.",
        "cars_annos.csv, row 8: the box (1, 1, w, 9) is not four numbers.",
    ]
    write(tmp_path, "cars_annos.csv", [CARS_HEADER])
    with pytest.raises(InputError, match="lists nothing"):
        convert("cars", tmp_path)
