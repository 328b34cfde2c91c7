"""`check`: what only the files themselves show, each with its row."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlcore.cli import main

HEADER = "label,path,split,is_query,is_gallery,x_1,y_1,x_2,y_2"


def problems(table: Path, rows: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    table.write_text(f"{HEADER}\n{rows}")
    main(["check", str(table), "--json"])
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["problems"]
    return found


def test_copies_in_both_splits_are_errors(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = photos.parent
    (root / "6/copy.jpg").write_bytes((root / "0/0.jpg").read_bytes())
    with photos.open("a") as file:
        file.write("6/copy.jpg,label-6,square,validation,True,True\n")
    assert main(["check", str(photos)]) == 2
    assert "row 42, path: 6/copy.jpg is a copy of 0/0.jpg, row 2" in capsys.readouterr().out


def test_a_box_is_judged_by_the_photo_as_it_is_decoded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Turned by EXIF: 40 x 80 pixels, whatever the format of the file."""
    image = Image.fromarray(np.zeros((40, 80, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    rows = []
    for place, suffix in enumerate(("jpg", "tif", "png")):
        image.save(tmp_path / f"{place}.{suffix}", exif=exif)
        rows += [f"{name},{place}.{suffix},train,,,{box}" for name, box in (("a", "0,0,40,80"), ("b", "0,0,41,81"))]
    found = problems(tmp_path / "t.csv", "\n".join(rows), capsys)
    assert [(each["row"], each["column"]) for each in found] == [(row, x) for row in (3, 5, 7) for x in ("x_2", "y_2")]


def test_a_photo_of_far_too_many_pixels_is_refused_by_its_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("1", (20_000, 20_000)).save(tmp_path / "large.png")
    (found,) = problems(tmp_path / "t.csv", "a,large.png,train,,,0,0,5,5\na,large.png,train,,,5,5,9,9", capsys)[:1]
    assert (found["row"], found["column"]) == (2, "path")
    assert "far too many pixels" in found["message"]


def test_files_outside_of_the_folder_are_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outside, inside = tmp_path / "secret.jpg", tmp_path / "photos"
    outside.write_text("no photo")
    inside.mkdir()
    for path in ("../secret.jpg", str(outside)):
        (found,) = problems(inside / "t.csv", f"a,{path},train,,,,,,", capsys)[:1]
        assert "leads outside" in found["message"]
        assert "no photo in a format" not in json.dumps(problems(inside / "t.csv", f"a,{path},train,,,,,,", capsys))


def test_what_systems_leave_beside_photos_is_passed_over(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = photos.parent
    photos.unlink()
    (root / "0/folder.jpg").mkdir()
    for name in ("1/._0.jpg", ".trash/0.jpg", "__MACOSX/0/0.jpg", "2/Thumbs.db"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"no photo")
    assert main(["check", str(root)]) == 0
    assert capsys.readouterr().out == "40 rows, 0 errors, 0 warnings\n"
