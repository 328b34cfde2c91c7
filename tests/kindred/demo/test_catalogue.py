"""The demo dataset: what is in it, what is planted in it, and that it is the same every time."""

import hashlib
import io
import json
import zipfile
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from PIL import Image

from kindred.demo import catalogue
from mlcore.table import check_table, read_table

SHOTS, ROWS, MISTAKES = catalogue.plan()


def test_about_a_hundred_labels_of_six_photos_in_eight_categories() -> None:
    photos: dict[str, set[str]] = defaultdict(set)
    for row in ROWS:
        photos[row.label].add(row.path)
    assert 100 <= len(photos) <= 110
    assert len({row.category for row in ROWS}) == 8
    assert sorted(Counter(map(len, photos.values())).items())[0][0] >= 3
    assert Counter(map(len, photos.values())).most_common(1)[0][0] in (6, 7)
    assert sum(row.box is not None for row in ROWS) >= 40
    assert len({row.sequence for row in ROWS if row.sequence}) >= 20
    assert {shot.path for shot in SHOTS} == {row.path for row in ROWS}


def test_labels_are_held_out_whole_but_for_what_is_planted() -> None:
    splits: dict[str, set[str]] = defaultdict(set)
    for row in ROWS:
        splits[row.label].add(row.split)
    assert [label for label, found in splits.items() if len(found) > 1] == []


def test_the_mistakes_that_the_product_promises() -> None:
    assert Counter(mistake.kind for mistake in MISTAKES) == {
        "wrong label": 8,
        "split identity": 3,
        "near-duplicate": 5,
        "leak": 1,
    }
    by_path = {row.path: row for row in ROWS if row.box is None}
    for mistake in MISTAKES:
        row = by_path[mistake.path]
        if mistake.kind in ("wrong label", "split identity"):
            assert row.label != mistake.truth
            assert mistake.truth in {other.label for other in ROWS}
        else:
            original = by_path[mistake.truth]
            assert (row.split == original.split) == (mistake.kind == "near-duplicate")
            assert (row.label == original.label) == (mistake.kind == "near-duplicate")


def test_a_photo_is_drawn_the_same_every_time_and_a_copy_is_another_file() -> None:
    copy = next(shot for shot in SHOTS if shot.copy_of)
    original = next(shot for shot in SHOTS if shot.path == copy.copy_of)
    first, boxes = catalogue.draw(original)
    catalogue.object_of.cache_clear()
    assert catalogue.draw(original) == (first, boxes)
    again, _ = catalogue.draw(copy)
    assert hashlib.sha256(again).digest() != hashlib.sha256(first).digest()
    big, small = Image.open(io.BytesIO(first)), Image.open(io.BytesIO(again))
    assert big.size > small.size


def test_two_objects_of_a_photo_have_boxes_inside_it() -> None:
    pair = next(shot for shot in SHOTS if len(shot.objects) == 2)
    data, boxes = catalogue.draw(pair)
    width, height = Image.open(io.BytesIO(data)).size
    assert len(boxes) == 2
    assert all(0 <= x_1 < x_2 <= width and 0 <= y_1 < y_2 <= height for x_1, y_1, x_2, y_2 in boxes)
    assert boxes[0][0] < boxes[1][0]


def test_stopped_it_leaves_no_zip(tmp_path: Path) -> None:
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    with pytest.raises(catalogue.Stopped):
        catalogue.write_zip(tmp_path / "pottery.zip", should_stop=should_stop)
    assert asked == 4
    assert not (tmp_path / "pottery.zip").exists()


def test_the_zip_is_a_table_that_the_checker_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of the plan, written whole."""
    pairs = [shot for shot in SHOTS if len(shot.objects) == 2][:1]
    some = [*SHOTS[:3], *[shot for shot in SHOTS if "-maas-" in shot.path][:3], *pairs]
    rows = [row for row in ROWS if row.path in {shot.path for shot in some}]
    monkeypatch.setattr(catalogue, "plan", lambda: (some, list(rows), MISTAKES))
    assert catalogue.write_zip(tmp_path / "pottery.zip", workers=1) == len(rows)
    with zipfile.ZipFile(tmp_path / "pottery.zip") as archive:
        names = set(archive.namelist())
        frame = read_table(archive.read("table.csv"))
    problems = check_table(frame, exists=names.__contains__)
    assert [problem for problem in problems if problem.severity == "error"] == []
    assert len(frame) == len(rows)
    assert (frame["x_1"] != "").sum() == 2
    told = json.loads((tmp_path / "pottery.mistakes.json").read_text())
    assert len(told) == len(MISTAKES)
