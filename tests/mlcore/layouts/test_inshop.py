"""DeepFashion In-shop: one list with the three parts, categories from paths, boxes on request."""

from pathlib import Path

import pytest

from mlcore.errors import InputError
from mlcore.images import image_size
from mlcore.layouts import Counts, convert
from tests.mlcore.layouts.folders import empty, make_inshop, photo, rows, write

LIST, BOXES = "Eval/list_eval_partition.txt", "Anno/list_bbox_inshop.txt"


def test_every_row(tmp_path: Path) -> None:
    converted = convert("inshop", make_inshop(tmp_path, labels=2))
    assert rows(converted, "label", "path", "split", "is_query", "is_gallery", "category") == [
        ("id_00000001", "img/WOMEN/Shorts/id_00000001/00_1_front.jpg", "train", "", "", "WOMEN/Shorts"),
        ("id_00000001", "img/WOMEN/Shorts/id_00000001/01_1_front.jpg", "train", "", "", "WOMEN/Shorts"),
        ("id_00000002", "img/MEN/Shorts/id_00000002/00_1_front.jpg", "validation", "True", "False", "MEN/Shorts"),
        ("id_00000002", "img/MEN/Shorts/id_00000002/01_1_front.jpg", "validation", "False", "True", "MEN/Shorts"),
    ]
    assert empty(converted.table) == {"sequence", "x_1", "y_1", "x_2", "y_2"}
    assert converted.counts == Counts(4, 2, 2, 2, 1, 2, 1, 1, 1)
    assert "Photos: those in img." in converted.notes


def test_boxes_are_cut_to_their_photos(tmp_path: Path) -> None:
    converted = convert("inshop", make_inshop(tmp_path), boxes=True, image_size=image_size)
    boxes = rows(converted, "x_1", "y_1", "x_2", "y_2")
    assert boxes == [("4", "6", "44", "47"), ("4", "6", "44", "48")] * 4
    lines = (tmp_path / BOXES).read_text().replace("044 048", "049 060").splitlines()
    write(tmp_path, BOXES, lines, end="\r\n", encoding="utf-8-sig")
    converted = convert("inshop", tmp_path, boxes=True, image_size=image_size)
    assert rows(converted, "x_1", "y_1", "x_2", "y_2") == [("4", "6", "44", "47"), ("4", "6", "48", "48")] * 4
    assert "4 boxes reached out of their photos and were cut." in converted.notes


@pytest.mark.parametrize("place", ["Img/img", "img_highres", "Img/img_highres"])
def test_photos_are_found_where_people_unpack_them(tmp_path: Path, place: str) -> None:
    make_inshop(tmp_path, place=place)
    (tmp_path / LIST).rename(tmp_path / "list_eval_partition.txt")
    converted = convert("inshop", tmp_path)
    assert converted.table["path"][0] == f"{place}/WOMEN/Shorts/id_00000001/00_1_front.jpg"
    assert set(converted.table["category"]) == {"WOMEN/Shorts", "MEN/Shorts"}


def test_boxes_do_not_go_with_larger_photos(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="in the pixels of the photos in img"):
        convert("inshop", make_inshop(tmp_path, place="img_highres"), boxes=True)


def test_boxes_are_asked_for_only_where_they_are_wanted(tmp_path: Path) -> None:
    make_inshop(tmp_path)
    (tmp_path / BOXES).unlink()
    assert len(convert("inshop", tmp_path).table) == 8
    with pytest.raises(InputError, match=f"{BOXES} or list_bbox_inshop.txt is not in"):
        convert("inshop", tmp_path, boxes=True)


def test_faults_of_the_boxes(tmp_path: Path) -> None:
    make_inshop(tmp_path, labels=2)
    lines = (tmp_path / BOXES).read_text().splitlines()
    lines[2] = lines[2].replace("044", "wide")
    del lines[5]
    write(tmp_path, BOXES, ["3", *lines[1:]])
    with pytest.raises(InputError) as caught:
        convert("inshop", tmp_path, boxes=True)
    assert caught.value.problems == [
        "list_bbox_inshop.txt, line 3: the box (004, 006, wide, 047) is not four numbers.",
        "list_eval_partition.txt, line 6: img/MEN/Shorts/id_00000002/01_1_front.jpg has no box in "
        "list_bbox_inshop.txt.",
    ]


def test_a_box_that_is_none_is_refused_with_its_line(tmp_path: Path) -> None:
    make_inshop(tmp_path, labels=2)
    lines = [line.replace("004 006 044 047", "044 006 004 047") for line in (tmp_path / BOXES).read_text().splitlines()]
    write(tmp_path, BOXES, lines)
    with pytest.raises(InputError, match=r"list_eval_partition.txt, line 3, x_2: The box is empty or inverted"):
        convert("inshop", tmp_path, boxes=True, image_size=image_size)


def test_faults_of_the_list(tmp_path: Path) -> None:
    make_inshop(tmp_path, labels=2)
    lines = (tmp_path / LIST).read_text().splitlines()
    lines[2] = lines[2].replace("train", "test")
    lines[3] = "01_1_front.jpg id_00000001 train"
    write(tmp_path, LIST, ["52712", *lines[1:]])
    with pytest.raises(InputError) as caught:
        convert("inshop", tmp_path)
    assert caught.value.problems == [
        "list_eval_partition.txt promises 52712 lines and has 4. Unpack the dataset again.",
        "list_eval_partition.txt, line 3: the status is “test”, not train, query or gallery.",
        "list_eval_partition.txt, line 4: 01_1_front.jpg is not img/.../CATEGORY/ITEM/PHOTO.",
    ]
    write(tmp_path, LIST, ["many", lines[1]])
    with pytest.raises(InputError) as caught:
        convert("inshop", tmp_path)
    assert [problem.partition(" ")[2] for problem in caught.value.problems] == [
        "should begin with how many lines it has; it has “many”.",
        "lists nothing. Unpack the dataset again.",
    ]


def test_an_item_in_two_categories_keeps_the_one_of_most_photos(tmp_path: Path) -> None:
    make_inshop(tmp_path, labels=2)
    lines = (tmp_path / LIST).read_text().splitlines()
    name = photo(tmp_path, "img/WOMEN/Skirts/id_00000001/02_1_front.jpg", 1, 7)
    write(tmp_path, LIST, ["5", *lines[1:], f"{name} id_00000001 train"])
    converted = convert("inshop", tmp_path)
    of_item = converted.table[converted.table["label"] == "id_00000001"]
    assert of_item["category"].tolist() == ["WOMEN/Shorts"] * 3
    assert any(note.startswith("1 labels are listed under several categories") for note in converted.notes)
