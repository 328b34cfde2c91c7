"""Folders as tables."""

import zipfile
from pathlib import Path

import pytest

from mlcore.table import check_table, table_from_folder

OMNIGLOT = Path(__file__).parents[4] / "shared" / "data" / "omniglot_small1.zip"


def tree(labels: int, samples: int, prefix: str = "") -> list[str]:
    return [f"{prefix}label{label}/{sample}.jpg" for label in range(labels) for sample in range(samples)]


def test_the_deepest_folder_is_the_label() -> None:
    table = table_from_folder(["cat/1.jpg", "dog/1.jpg"])
    assert table["label"].tolist() == ["cat", "dog"]
    assert table["category"].tolist() == ["", ""]
    assert table["split"].tolist() == ["train", "train"]


def test_the_folder_above_is_the_category() -> None:
    table = table_from_folder(["pets/cat/1.jpg", "wild/lion/1.jpg"])
    assert table["label"].tolist() == ["cat", "lion"]
    assert table["category"].tolist() == ["pets", "wild"]
    mixed = table_from_folder(["pets/cat/1.jpg", "lion/1.jpg"])
    assert mixed["label"].tolist() == ["cat", "lion"]
    assert mixed["category"].tolist() == ["", ""]


def test_a_folder_around_everything_is_passed_over() -> None:
    table = table_from_folder(["export/cat/1.jpg", "export/dog/1.jpg"])
    assert table["label"].tolist() == ["cat", "dog"]
    assert table["category"].tolist() == ["", ""]
    assert table["path"].tolist() == ["export/cat/1.jpg", "export/dog/1.jpg"]
    single = table_from_folder(["cat/1.jpg", "cat/2.jpg"])
    assert single["label"].tolist() == ["cat", "cat"]


def test_one_name_in_two_categories_is_two_labels() -> None:
    table = table_from_folder(["a/x/1.jpg", "b/x/1.jpg", "b/y/1.jpg"])
    assert table["label"].tolist() == ["a/x", "b/x", "y"]
    deep = table_from_folder(["a/p/x/1.jpg", "b/p/x/1.jpg", "b/q/y/1.jpg"])
    assert deep["label"].tolist() == ["a/p/x", "b/p/x", "y"]
    assert deep["category"].tolist() == ["p", "p", "q"]


def test_one_name_at_two_depths_is_two_labels() -> None:
    table = table_from_folder(["x/1.jpg", "old/x/1.jpg", "old/y/1.jpg"])
    assert table["label"].tolist() == ["x", "old/x", "y"]
    assert set(table["category"]) == {""}


def test_a_third_of_the_labels_is_held_out_the_same_way_each_time() -> None:
    table = table_from_folder(tree(10, 2))
    held_out = set(table.loc[table["split"] == "validation", "label"])
    assert len(held_out) == 3
    again = table_from_folder(tree(10, 2)[::-1])
    assert set(again.loc[again["split"] == "validation", "label"]) == held_out
    assert (table.loc[table["split"] == "validation", ["is_query", "is_gallery"]] == "True").all(axis=None)
    assert (table.loc[table["split"] == "train", ["is_query", "is_gallery"]] == "").all(axis=None)
    assert check_table(table) == []


def test_too_few_labels_are_all_train() -> None:
    assert set(table_from_folder(tree(5, 2))["split"]) == {"train"}
    assert set(table_from_folder(tree(5, 2) + tree(9, 1, "x"))["split"]) == {"train"}
    assert set(table_from_folder(tree(6, 2))["split"]) == {"train", "validation"}


def test_photos_without_a_folder_are_reported() -> None:
    problems = check_table(table_from_folder(["loose.jpg", "cat/1.jpg", "cat/2.jpg"]))
    assert [(problem.column, problem.row) for problem in problems] == [("label", 2)]
    assert problems[0].message == "loose.jpg has no label."
    assert table_from_folder([]).empty


def test_a_folder_whose_name_is_no_text_is_reported() -> None:
    problems = check_table(table_from_folder(["caf\udce9/1.jpg", "caf\udce9/2.jpg"]))
    assert {problem.column for problem in problems} == {"label", "path"}
    assert problems[0].message == "The label holds bytes that are no text, which cannot be kept, at character 4."


@pytest.mark.skipif(not OMNIGLOT.exists(), reason="../shared/data is absent")
def test_omniglot() -> None:
    with zipfile.ZipFile(OMNIGLOT) as archive:
        table = table_from_folder(name for name in archive.namelist() if name.endswith(".png"))
    assert (len(table), table["label"].nunique(), table["category"].nunique()) == (2720, 136, 5)
    assert table["label"].iloc[0] == "Balinese/character01"
    assert (table.groupby("label").size() == 20).all()
    assert table.groupby("label")["split"].first().value_counts().to_dict() == {"train": 91, "validation": 45}
    assert check_table(table) == []
