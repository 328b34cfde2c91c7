"""A closed split from the lists of its dataset to a report that states the choice."""

import json
from pathlib import Path

import pytest
import yaml

from mlcore.cli import main
from tests.mlcore.layouts.folders import make_cub
from tests.mlcore.photos import make_photos, small_recipe, write_folder

pytestmark = pytest.mark.slow
CLOSED = "--closed-set"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photos of each of four labels train, two validate. Beside it a recipe."""
    root = make_cub(tmp_path_factory.mktemp("cub"), samples=4)
    (root / "recipe.yaml").write_text(yaml.safe_dump(small_recipe(steps=2).model_dump(mode="json")))
    assert main(["convert", "cub", str(root), "--split", "closed", "--out", str(root / "closed.csv")]) == 0
    return root / "closed.csv"


def train(table: Path, out: Path, *more: str) -> int:
    recipe = str(table.parent / "recipe.yaml")
    command = ["train", "--data", str(table), "--recipe", recipe, "--out", str(out), "--device", "cpu"]
    return main([*command, "--cache", "none", *more])


def test_from_convert_to_the_report(closed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["check", str(closed), CLOSED]) == 0
    assert "16 rows, 0 errors, 4 warnings" in capsys.readouterr().out
    out = tmp_path / "out"
    assert train(closed, out, CLOSED) == 0
    shown = capsys.readouterr()
    assert "closed set: 4 labels of these figures are in both splits" in shown.out
    assert shown.err.count("which flatters the figures") == 5  # of each label, and of all when the training starts
    report = json.loads((out / "report.json").read_text())
    assert report["closed_set"] is True
    assert report["labels_in_both_splits"] == 4
    assert report["counts"] == {"queries": 8, "gallery": 8, "queries_without_match": 0}
    evaluate = ["evaluate", str(out), "--data", str(closed), "--device", "cpu", "--cache", "none"]
    assert main([*evaluate, CLOSED, "--out", str(tmp_path / "report.json")]) == 0
    assert json.loads((tmp_path / "report.json").read_text()) == report
    assert "closed set: 4 labels" in capsys.readouterr().out
    assert main([*evaluate, CLOSED, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == report
    assert main(evaluate) == 2  # the choice is made anew for each report
    assert "in both splits" in capsys.readouterr().err


def test_without_the_switch_it_is_refused(closed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(closed)]) == 2
    assert train(closed, tmp_path / "out") == 2
    assert "The label 001.Bird_1 is in both splits" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_other_faults_stay_errors(closed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = sorted((closed.parent / "images").rglob("*.jpg"))
    kept = photos[2].read_bytes()
    photos[2].write_bytes(photos[0].read_bytes())  # now the same file trains and validates
    try:
        assert train(closed, tmp_path / "out", CLOSED) == 2
    finally:
        photos[2].write_bytes(kept)
    assert "Validation samples of files that train too: 1" in capsys.readouterr().err


def test_each_set_states_its_own_labels(closed: Path, tmp_path: Path) -> None:
    open_set = write_folder(tmp_path / "open", *make_photos(train_labels=20, validation_labels=2))
    out = tmp_path / "out"
    assert train(closed, out, CLOSED, "--validate", f"new={open_set}") == 0
    report = json.loads((out / "report.json").read_text())
    assert report["labels_in_both_splits"] == 4
    assert report["sets"]["new"]["labels_in_both_splits"] == 0
