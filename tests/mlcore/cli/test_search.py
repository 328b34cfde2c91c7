"""`search`: neighbours with their scores, of photos in and out of the gallery; and every fault named."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mlcore.cli import main
from mlcore.model import load_model
from tests.mlcore.photos import draw

pytestmark = pytest.mark.slow


def test_neighbours_come_best_first_with_labels_and_paths(trained: Path, table: Path, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.jpg"
    stranger.write_bytes(draw(6, 99))
    known = table.parent / "7/1.jpg"
    command = [sys.executable, "-m", "mlcore", "search", str(trained), "--gallery", str(table), "--device", "cpu"]
    done = subprocess.run([*command, "--top", "5", "--json", str(stranger), str(known)], capture_output=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["gallery"] == 16  # the rows that are flagged: no train row is found
    assert [query["image"] for query in found["queries"]] == [str(stranger), str(known)]
    for query in found["queries"]:
        near = query["neighbours"]
        assert [each["rank"] for each in near] == [1, 2, 3, 4, 5]
        assert [each["score"] for each in near] == sorted((each["score"] for each in near), reverse=True)
        assert all(each["label"] == f"label-{Path(each['path']).parent.name}" for each in near)
        assert {each["category"] for each in near} <= {"round", "square"}
    first = found["queries"][1]["neighbours"][0]
    assert (first["path"], first["label"]) == (str(known), "label-7")
    assert first["score"] == pytest.approx(1, abs=1e-4)


def test_scores_are_those_of_the_models_own_preprocessing(
    trained: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = table.parent / "8/2.jpg"
    command = ["search", str(trained), "--gallery", str(table.parent), "--top", "40", "--json", "--device", "cpu"]
    assert main([*command, str(query)]) == 0
    found = json.loads(capsys.readouterr().out)["queries"][0]["neighbours"]
    assert len(found) == 40  # a folder is a gallery whole
    embedder = load_model(trained / "model")
    vectors = embedder.embed_files([Path(each["path"]).read_bytes() for each in found])
    expected = vectors @ embedder.embed_files([query.read_bytes()])[0]
    assert np.allclose([each["score"] for each in found], expected, atol=2e-4)


def test_a_gallery_needs_neither_labels_nor_flags(
    trained: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = photos.parent / "bare.csv"
    table.write_text("path,x_1,y_1,x_2,y_2\n0/0.jpg,,,,\n0/1.jpg,4,4,30,30\n")
    query = str(photos.parent / "0/0.jpg")
    command = ["search", str(trained), "--gallery", str(table), query, "--device", "cpu"]
    assert main([*command, "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["queries"][0]["neighbours"]
    assert (first["label"], first["box"], second["box"]) == (None, None, [4, 4, 30, 30])
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == query
    assert lines[1].split() == ["1", "1.0000", "-", query]
    assert lines[2].endswith("0/1.jpg  box 4, 4, 30, 30")


def test_every_photo_that_cannot_be_searched_for_is_named(
    trained: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(draw(1, 1)[:300])
    missing = tmp_path / "missing.jpg"
    good = table.parent / "7/1.jpg"
    command = ["search", str(trained), "--gallery", str(table), str(cut), str(missing), str(tmp_path), str(good)]
    assert main([*command, "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["error"] == "3 of 4 photos cannot be searched for."
    named = zip((cut, missing, tmp_path), answer["problems"], strict=True)
    assert all(problem.startswith(str(path)) for path, problem in named)


def test_every_broken_photo_of_the_gallery_is_named(
    trained: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = photos.parent
    query = str(root / "7/1.jpg")
    for name in ("6/2.jpg", "9/3.jpg"):
        (root / name).write_bytes((root / name).read_bytes()[:300])
    assert main(["search", str(trained), "--gallery", str(photos), query, "--device", "cpu", "--cache", "none"]) == 2
    error = capsys.readouterr().err
    assert "2 photos cannot be read." in error
    assert "- 6/2.jpg: " in error
    assert "- 9/3.jpg: " in error
    (root / "6/2.jpg").unlink()
    (root / "6/0.jpg").unlink()
    assert main(["search", str(trained), "--gallery", str(photos), query]) == 2
    error = capsys.readouterr().err
    assert "6/0.jpg is not in the upload" in error
    assert "6/2.jpg is not in the upload" in error


@pytest.mark.parametrize(
    ("gallery", "words"),
    [
        ("nowhere", "nowhere is not there"),
        ("label.csv", "no column path"),
        ("empty.csv", "no rows"),
        (".", "no photos"),
    ],
)
def test_a_gallery_that_is_none_is_refused(
    gallery: str,
    words: str,
    trained: Path,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("label.csv").write_text("label\na\n")
    Path("empty.csv").write_text("path\n")
    assert main(["search", str(trained), "--gallery", gallery, str(table.parent / "7/1.jpg")]) == 2
    assert words in capsys.readouterr().err


def test_how_many_must_be_a_count(trained: Path, table: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["search", str(trained), "--gallery", str(table), "photo.jpg", "--top", "0"])
    assert ended.value.code == 2
