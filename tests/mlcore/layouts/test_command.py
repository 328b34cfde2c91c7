"""`python -m mlcore convert`: a table that check and train take as it is, counts, notes, and exit code 2."""

import json
from pathlib import Path

import pytest

from mlcore.cli import main
from mlcore.layouts import build
from mlcore.table import read_table
from tests.mlcore.layouts.folders import MAKERS, make_cub, make_sop, write


@pytest.mark.parametrize("name", MAKERS)
def test_the_table_passes_the_check(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    MAKERS[name](tmp_path)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert main(["convert", name, str(tmp_path), "--out", str(tmp_path / "table.csv")]) == 0
    shown = capsys.readouterr()
    assert f"{len(read_table(tmp_path / 'table.csv'))} samples, " in shown.out
    assert "note: This is not the whole of" in shown.err
    assert {path for path in tmp_path.rglob("*") if path.is_file()} - before == {tmp_path / "table.csv"}
    assert main(["check", str(tmp_path / "table.csv")]) == 0
    assert "0 errors, 0 warnings" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["inshop", "cub", "cars"])
def test_boxes_pass_the_check(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    MAKERS[name](tmp_path)
    for file in (tmp_path / "bounding_boxes.txt", tmp_path / "cars_annos.csv", tmp_path / "Anno/list_bbox_inshop.txt"):
        if file.is_file():  # beyond the photo, which is 48 wide
            file.write_text(file.read_text().replace("40.0 40.0", "90.5 40.0").replace(",44,", ",90,"))
    assert main(["convert", name, str(tmp_path), "--boxes", "--out", str(tmp_path / "table.csv")]) == 0
    assert main(["check", str(tmp_path / "table.csv")]) == 0
    table = read_table(tmp_path / "table.csv")
    assert set(table["x_1"]) == {"4"}
    assert set(table["x_2"]) <= {"44", "48"}


def test_counts_and_notes_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = make_cub(tmp_path, samples=4) / "table.csv"
    assert main(["convert", "cub", str(tmp_path), "--split", "closed", "--out", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["split"] == "closed"
    assert answer["counts"] == {
        "samples": 16,
        "labels": 4,
        "categories": 0,
        "train_samples": 8,
        "train_labels": 4,
        "validation_samples": 8,
        "validation_labels": 4,
        "queries": 8,
        "gallery": 8,
    }
    assert [note.partition(":")[0] for note in answer["notes"][1:]] == ["Closed-set caveat", "Closed split"]
    assert main(["check", str(out)]) == 2  # as that note says
    assert read_table(out).columns.tolist() == ["label", "path", "split", "is_query", "is_gallery"]


def test_a_table_above_the_folder_finds_the_photos_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_sop(tmp_path / "data/sop")
    out = tmp_path / "table.csv"
    assert main(["convert", "sop", str(tmp_path / "data/sop"), "--out", str(out)]) == 0
    assert read_table(out)["path"][2].startswith("data/sop/chair_final/")
    assert main(["check", str(out)]) == 0
    assert "Move" not in capsys.readouterr().err


def test_a_table_elsewhere_says_where_to_put_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_sop(tmp_path / "sop")
    (tmp_path / "other").mkdir()
    assert main(["convert", "sop", str(tmp_path / "sop"), "--out", str(tmp_path / "other/table.csv")]) == 0
    assert f"Paths are relative to {tmp_path / 'sop'}. Move table.csv into it" in capsys.readouterr().err
    (tmp_path / "other/table.csv").rename(tmp_path / "sop/table.csv")
    assert main(["check", str(tmp_path / "sop/table.csv")]) == 0


def test_a_missing_photo_is_bad_input_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_sop(tmp_path)
    for file in (tmp_path / "chair_final").iterdir():
        file.unlink()
    command = ["convert", "sop", str(tmp_path), "--out", str(tmp_path / "table.csv"), "--json"]
    assert main(command) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["problems"][0] == "Ebay_train.txt, line 2: chair_final/100001_0.JPG is not there."
    assert len(answer["problems"]) == 4
    monkeypatch.setattr(build, "MAX_LISTED", 3)
    assert main(command) == 2
    assert json.loads(capsys.readouterr().out)["problems"][3:] == ["and 1 more."]
    assert not (tmp_path / "table.csv").exists()


def test_a_list_of_the_dataset_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (make_sop(tmp_path) / "Ebay_test.txt").read_text()
    assert main(["convert", "sop", str(tmp_path), "--out", str(tmp_path / "Ebay_test.txt")]) == 2
    assert "is no table that this command wrote" in capsys.readouterr().err
    assert (tmp_path / "Ebay_test.txt").read_text() == before
    MAKERS["cars"](tmp_path)
    before = (tmp_path / "cars_annos.csv").read_text()
    assert main(["convert", "cars", str(tmp_path), "--out", str(tmp_path / "cars_annos.csv")]) == 2
    assert (tmp_path / "cars_annos.csv").read_text() == before
    for _ in range(2):  # its own table it writes anew
        assert main(["convert", "cars", str(tmp_path), "--out", str(tmp_path / "table.csv")]) == 0


def test_labels_that_a_spreadsheet_would_run_come_back_unchanged(tmp_path: Path) -> None:
    make_sop(tmp_path)
    text = (tmp_path / "Ebay_test.txt").read_text().replace(" 3 2 ", " =3+1 2 ")
    write(tmp_path, "Ebay_test.txt", text.splitlines())
    assert main(["convert", "sop", str(tmp_path), "--out", str(tmp_path / "table.csv")]) == 0
    assert "'=3+1" in (tmp_path / "table.csv").read_text()
    assert "=3+1" in set(read_table(tmp_path / "table.csv")["label"])
