"""CUB-200-2011: lists joined by ids; the half of the labels, or the dataset's own split; boxes; the caveat."""

from pathlib import Path

import pytest

from mlcore.errors import InputError
from mlcore.images import image_size
from mlcore.layouts import Counts, convert
from mlcore.manifest import manifest_from_table
from tests.mlcore.layouts.folders import make_cub, rows, write


def test_every_row_of_the_open_split(tmp_path: Path) -> None:
    converted = convert("cub", make_cub(tmp_path, labels=3))
    held_out = ("validation", "True", "True", "")
    assert rows(converted, "label", "path", "split", "is_query", "is_gallery", "category") == [
        ("001.Bird_1", "images/001.Bird_1/Bird_0001.jpg", "train", "", "", ""),
        ("001.Bird_1", "images/001.Bird_1/Bird_0002.jpg", "train", "", "", ""),
        ("002.Bird_2", "images/002.Bird_2/Bird_0003.jpg", *held_out),
        ("002.Bird_2", "images/002.Bird_2/Bird_0004.jpg", *held_out),
        ("003.Bird_3", "images/003.Bird_3/Bird_0005.jpg", *held_out),
        ("003.Bird_3", "images/003.Bird_3/Bird_0006.jpg", *held_out),
    ]
    assert converted.counts == Counts(6, 3, 0, 2, 1, 4, 2, 4, 4)
    assert any(note.startswith("Closed-set caveat: the labels of CUB-200-2011 are kinds") for note in converted.notes)


def test_the_first_hundred_of_two_hundred_train(tmp_path: Path) -> None:
    table = convert("cub", make_cub(tmp_path, labels=200, samples=2)).table
    numbers = table["label"].str[:3].astype(int)
    assert set(numbers[table["split"] == "train"]) == set(range(1, 101))
    assert set(numbers[table["split"] == "validation"]) == set(range(101, 201))


def test_the_closed_split_is_the_datasets_own_and_says_what_it_is(tmp_path: Path) -> None:
    converted = convert("cub", make_cub(tmp_path, labels=2, samples=4), split="closed")
    splits = ["train", "train", "validation", "validation"] * 2
    assert converted.table["split"].tolist() == splits
    assert converted.table["is_query"].tolist() == ["True" if split == "validation" else "" for split in splits]
    assert converted.counts == Counts(8, 2, 0, 4, 2, 4, 2, 4, 4)
    assert any(note.startswith("Closed split: every label is in train and in validation") for note in converted.notes)
    with pytest.raises(InputError, match="in both splits"):
        manifest_from_table(converted.table, tmp_path)
    assert len(manifest_from_table(converted.table, tmp_path, shared_labels="warning")) == 8  # as the note says


def test_boxes_from_corner_and_size_to_two_corners(tmp_path: Path) -> None:
    converted = convert("cub", make_cub(tmp_path, labels=2), boxes=True, image_size=image_size)
    assert rows(converted, "x_1", "y_1", "x_2", "y_2") == [("4", "6", "44", "46"), ("4", "6", "44", "48")] * 2
    assert not convert("cub", tmp_path).table["x_1"].any()


def test_only_the_lists_that_are_needed_are_asked_for(tmp_path: Path) -> None:
    make_cub(tmp_path)
    (tmp_path / "train_test_split.txt").unlink()
    (tmp_path / "bounding_boxes.txt").unlink()
    assert len(convert("cub", tmp_path).table) == 8
    with pytest.raises(InputError) as caught:
        convert("cub", tmp_path, split="closed", boxes=True)
    assert [problem.split(" is not")[0] for problem in caught.value.problems] == [
        "train_test_split.txt",
        "bounding_boxes.txt",
    ]


def test_windows_lists_are_the_same(tmp_path: Path) -> None:
    plain = convert("cub", make_cub(tmp_path), boxes=True)
    for file in tmp_path.glob("*.txt"):
        write(tmp_path, file.name, file.read_text().splitlines(), end="\r\n", encoding="utf-8-sig")
    assert convert("cub", tmp_path, boxes=True).table.equals(plain.table)


def test_ids_that_do_not_meet_are_all_named(tmp_path: Path) -> None:
    make_cub(tmp_path, labels=3)
    write(tmp_path, "image_class_labels.txt", ["1 1", "2 7", "4 2", "4 2", "5 3", "6 3"])
    lines = (tmp_path / "train_test_split.txt").read_text().splitlines()
    write(tmp_path, "train_test_split.txt", ["1 yes", *lines[1:4], lines[5]])
    lines = (tmp_path / "bounding_boxes.txt").read_text().splitlines()
    write(tmp_path, "bounding_boxes.txt", [*lines[:5], "6 1 2 wide 4"])
    write(tmp_path, "classes.txt", ["1 Bird_1", "two Bird_2", "3 Bird_3"])
    with pytest.raises(InputError) as caught:
        convert("cub", tmp_path, split="closed", boxes=True)
    assert caught.value.problems == [
        "image_class_labels.txt, line 4: 4 was listed before, in image_class_labels.txt, line 3.",
        "classes.txt, line 2: “two” is no number of a label.",
        "train_test_split.txt, line 1: is_training is “yes”, not 0 or 1.",
        "image_class_labels.txt, line 2: the label 7 is not in classes.txt.",
        "images.txt, line 3: the image 3 is not in image_class_labels.txt.",
        "image_class_labels.txt, line 3: the label 2 is not in classes.txt.",
        "images.txt, line 5: the image 5 is not in train_test_split.txt.",
        "bounding_boxes.txt, line 6: the box (1, 2, wide, 4) is not four numbers.",
    ]


def test_names_without_their_numbers_get_them(tmp_path: Path) -> None:
    make_cub(tmp_path, labels=2)
    write(tmp_path, "classes.txt", ["1 Gull", "2 Gull"])
    assert list(dict.fromkeys(convert("cub", tmp_path).table["label"])) == ["001.Gull", "002.Gull"]
