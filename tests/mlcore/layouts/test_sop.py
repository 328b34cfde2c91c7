"""Stanford Online Products: two lists with a header, super classes as categories, test photos search each other."""

from pathlib import Path

import pytest

from mlcore.errors import InputError
from mlcore.layouts import Counts, convert
from tests.mlcore.layouts.folders import empty, make_sop, photo, rows, write

COLUMNS = ("label", "path", "split", "is_query", "is_gallery", "category")


def test_every_row(tmp_path: Path) -> None:
    converted = convert("sop", make_sop(tmp_path, labels=2))
    assert rows(converted, *COLUMNS) == [
        ("1", "chair_final/100001_0.JPG", "train", "", "", "chair"),
        ("1", "chair_final/100002_1.JPG", "train", "", "", "chair"),
        ("2", "bicycle_final/200003_0.JPG", "validation", "True", "True", "bicycle"),
        ("2", "bicycle_final/200004_1.JPG", "validation", "True", "True", "bicycle"),
    ]
    assert empty(converted.table) == {"sequence", "x_1", "y_1", "x_2", "y_2"}
    assert converted.counts == Counts(4, 2, 2, 2, 1, 2, 1, 2, 2)
    assert "not the whole of Stanford Online Products, which has 120,053 samples of 22,634 labels" in converted.notes[0]


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    plain = convert("sop", make_sop(tmp_path))
    for name in ("Ebay_train.txt", "Ebay_test.txt"):
        lines = (tmp_path / name).read_text().splitlines()
        write(tmp_path, name, [*lines, "", "  "], end="\r\n", encoding="utf-8-sig")
    assert convert("sop", tmp_path).table.equals(plain.table)


def test_what_is_missing_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        convert("sop", tmp_path)
    assert [problem.split(" is not")[0] for problem in caught.value.problems] == ["Ebay_train.txt", "Ebay_test.txt"]
    make_sop(tmp_path / "Stanford_Online_Products")
    with pytest.raises(InputError, match=r"It is in .*/Stanford_Online_Products: name that folder"):
        convert("sop", tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        convert("sop", tmp_path / "nowhere")


def test_photos_that_are_not_on_the_disk_are_listed_with_their_lines(tmp_path: Path) -> None:
    make_sop(tmp_path, labels=2)
    for path in ("chair_final/100002_1.JPG", "bicycle_final/200003_0.JPG"):
        (tmp_path / path).unlink()
    with pytest.raises(InputError) as caught:
        convert("sop", tmp_path)
    assert caught.value.message.startswith("2 of the 4 photos of Stanford Online Products are in")
    assert caught.value.problems == [
        "Ebay_train.txt, line 3: chair_final/100002_1.JPG is not there.",
        "Ebay_test.txt, line 2: bicycle_final/200003_0.JPG is not there.",
    ]


def test_every_line_of_another_shape_is_listed(tmp_path: Path) -> None:
    make_sop(tmp_path)
    lines = (tmp_path / "Ebay_train.txt").read_text().splitlines()
    write(tmp_path, "Ebay_train.txt", [*lines, "9 9 chair_final/9.JPG", "", "10 9 1 chair_final/9.JPG more"])
    with pytest.raises(InputError) as caught:
        convert("sop", tmp_path)
    columns = "not the 4 of “image_id class_id super_class_id path”."
    assert caught.value.problems == [
        f"Ebay_train.txt, line 6: 3 columns, {columns}",
        f"Ebay_train.txt, line 8: 5 columns, {columns}",
    ]


def test_another_header_and_no_text_are_refused(tmp_path: Path) -> None:
    make_sop(tmp_path)
    write(tmp_path, "Ebay_train.txt", ["id label path"])
    with pytest.raises(InputError, match=r"should begin with the header .*; it has “id label path”"):
        convert("sop", tmp_path)
    (tmp_path / "Ebay_train.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no UTF-8 text"):
        convert("sop", tmp_path)


def test_what_would_make_no_sound_table_is_told_by_the_lists_own_lines(tmp_path: Path) -> None:
    make_sop(tmp_path)
    photo(tmp_path.parent, "outside.JPG")
    lines = (tmp_path / "Ebay_test.txt").read_text().splitlines()
    write(tmp_path, "Ebay_test.txt", [*lines, lines[1], "77 1 2 chair_final/../../outside.JPG"])
    with pytest.raises(InputError) as caught:
        convert("sop", tmp_path)
    found = "\n".join(caught.value.problems)
    assert "Ebay_test.txt, line 6, path: chair_final/300005_0.JPG is already in" in found
    assert "Ebay_test.txt, line 7, path: chair_final/../../outside.JPG leads outside" in found
    assert "The label 1 is in both splits" in found


def test_a_super_class_with_two_folders_is_a_fault(tmp_path: Path) -> None:
    make_sop(tmp_path, labels=2)
    photo(tmp_path, "sofa_final/9.JPG")
    lines = (tmp_path / "Ebay_test.txt").read_text().splitlines()
    write(tmp_path, "Ebay_test.txt", [*lines, "9 9 1 sofa_final/9.JPG"])
    with pytest.raises(InputError, match=r"line 4: the super class 1 is sofa, but bicycle in Ebay_test.txt, line 2"):
        convert("sop", tmp_path)


def test_a_label_of_one_photo_is_told(tmp_path: Path) -> None:
    make_sop(tmp_path)
    for name, path in (("Ebay_train.txt", "chair_final/8.JPG"), ("Ebay_test.txt", "chair_final/9.JPG")):
        photo(tmp_path, path)
        number = path[-5]
        lines = (tmp_path / name).read_text().splitlines()
        write(tmp_path, name, [*lines, f"{number} {number} 2 {path}"])
    notes = convert("sop", tmp_path).notes
    assert "1 train labels have one sample, from which little can be learned." in notes
    assert "1 queries have no match in the gallery, and no report counts them." in notes


def test_it_has_neither_boxes_nor_another_split(tmp_path: Path) -> None:
    make_sop(tmp_path)
    with pytest.raises(InputError, match="has one split"):
        convert("sop", tmp_path, split="closed")
    with pytest.raises(InputError, match="has no boxes"):
        convert("sop", tmp_path, boxes=True)
