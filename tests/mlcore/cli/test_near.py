"""`check --near`: warnings of near-duplicates, each with both rows and what to do."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mlcore.cli import main
from tests.mlcore.photos import patches

COLUMNS = "path,label,split,is_query,is_gallery,sequence"
TRAIN, VALIDATION = "train,,", "validation,True,True"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two labels of two photos train, in rows 2 to 5; two more are validation, in rows 6 to 9."""
    rows = []
    for number in range(8):
        patches(number).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,label {number // 2},{TRAIN if number < 4 else VALIDATION},")
    file = tmp_path / "df.csv"
    file.write_text("\n".join([COLUMNS, *rows]) + "\n")
    return file


def add_copy(table: Path, name: str, row: str, *, quality: int = 80) -> None:
    """A copy of 0.png: less by some pixels at two sides, smaller, and encoded otherwise. row: after its path."""
    with Image.open(table.parent / "0.png") as photo:
        photo.crop((3, 0, 120, 155)).resize((90, 120)).save(table.parent / name, quality=quality)
    with table.open("a") as file:
        file.write(f"{name},{row}\n")


def check(table: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, list[dict[str, Any]]]:
    code = main(["check", str(table), "--near", "--json", "--device", "cpu", *more])
    return code, json.loads(capsys.readouterr().out)["problems"]


def test_different_photos_are_not_told(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(table, capsys) == (0, [])


def test_a_copy_in_the_other_split_is_a_warning(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_copy(table, "copy.webp", f"label 2,{VALIDATION},")
    code, (found,) = check(table, capsys)
    text, similarity = found.pop("message").removesuffix(".").split(": similarity ")
    assert code == 0
    assert text == "copy.webp is nearly the photo 0.png, row 2, of the other split, under the label label 0"
    assert 0.95 <= float(similarity) <= 1
    assert found == {
        "row": 10,
        "column": "path",
        "remedy": "Put both into one split, or remove one.",
        "severity": "warning",
    }


def test_the_threshold_decides_and_without_near_nothing_is_told(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_copy(table, "copy.webp", f"label 2,{VALIDATION},")
    assert check(table, capsys, "--threshold", "1") == (0, [])
    assert len(check(table, capsys, "--threshold", "0.9")[1]) == 1
    assert main(["check", str(table)]) == 0
    assert capsys.readouterr().out == "9 rows, 0 errors, 0 warnings\n"


def test_copies_in_one_split_are_told_unless_one_sequence_has_them(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join(line for line in lines if not line.startswith("0.png")))
    add_copy(table, "one.jpg", f"label 2,{VALIDATION},burst")
    add_copy(table, "two.webp", f"label 2,{VALIDATION},")
    (told,) = (problem for problem in check(table, capsys)[1] if "nearly" in problem["message"])
    assert told["message"].startswith("two.webp is nearly the photo one.jpg, row 9, of the same split: similarity ")
    assert (told["row"], told["remedy"]) == (10, "Give both one sequence, or remove one.")
    table.write_text(table.read_text().rstrip() + "burst\n")
    assert not [problem for problem in check(table, capsys)[1] if "nearly" in problem["message"]]


def test_the_most_alike_come_first_and_after_all_else(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_copy(table, "poor.jpg", "label 2,validation,True,,", quality=30)
    add_copy(table, "good.jpg", "label 3,validation,True,,", quality=95)
    patches(9).save(table.parent / "alone.png")
    with table.open("a") as file:
        file.write(f"alone.png,alone,{TRAIN},\n")
    assert main(["check", str(table), "--near", "--device", "cpu"]) == 0
    alone, good, poor, counts = capsys.readouterr().out.splitlines()
    assert alone.startswith("warning: row 12, label: The label alone has one sample")
    assert good.startswith("warning: row 11, path: good.jpg is nearly the photo 0.png, row 2, of the other split")
    assert poor.startswith("warning: row 10, path: poor.jpg is nearly the photo 0.png, row 2, of the other split")
    assert counts == "11 rows, 0 errors, 3 warnings"


def test_errors_are_to_be_mended_first(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_copy(table, "copy.webp", f"label 2,{VALIDATION},")
    (table.parent / "3.png").write_bytes((table.parent / "3.png").read_bytes()[:500])
    code, (damaged, skipped) = check(table, capsys)
    assert code == 2
    assert (damaged["row"], damaged["severity"]) == (5, "error")
    assert damaged["message"].startswith("3.png: ")
    assert (skipped["message"], skipped["severity"]) == ("Near-duplicates were not looked for.", "warning")


def test_a_threshold_goes_with_near_and_is_a_share(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(table), "--threshold", "0.9"]) == 2
    assert "Add --near, or leave it out." in capsys.readouterr().err
    for wrong in ("0", "1.1", "much"):
        with pytest.raises(SystemExit):
            main(["check", str(table), "--near", "--threshold", wrong])
        assert "--threshold" in capsys.readouterr().err
