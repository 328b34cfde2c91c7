"""`evaluate`: the report as before, and the post-processed ones under a key of their own."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mlcore.cli import main
from mlcore.cli.data import load_data
from mlcore.cli.evaluation import interval_text
from mlcore.config.postprocess import parse
from mlcore.embed import embed_manifest
from mlcore.model import load_model
from mlcore.postprocess import evaluate_with

pytestmark = pytest.mark.slow
RERANK, NORM = "rerank:k1=4,k2=2", "qe:k=2+snorm:cohort=5"


def test_post_processing_stands_beside_the_report(
    trained: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.json"
    command = ["evaluate", str(trained), "--data", str(table), "--out", str(out), "--device", "cpu"]
    assert main([*command, "--postprocess", RERANK, "--postprocess", NORM]) == 0
    report = json.loads(out.read_text())
    plain = json.loads((trained / "report.json").read_text())
    assert {key: report[key] for key in report if key != "postprocess"} == plain

    # The same by hand; score normalisation is by the train rows.
    manifest, source = load_data(table, print)
    embeddings = embed_manifest(load_model(trained / "model"), manifest, source)
    held_out = (manifest["split"] == "validation").to_numpy()
    rows = manifest[held_out].reset_index(drop=True)
    expected = evaluate_with(
        embeddings[held_out], rows, {RERANK: parse(RERANK), NORM: parse(NORM)}, cohort=embeddings[~held_out]
    )
    assert list(report["postprocess"]) == [RERANK, NORM]
    for text, found in report["postprocess"].items():
        assert found["overall"] == pytest.approx(expected[text].overall, abs=1e-6)
        assert set(found) == {"overall", "categories", "counts"}
    gallery_cohort = evaluate_with(embeddings[held_out], rows, {NORM: parse(NORM)})[NORM]
    assert gallery_cohort.overall != expected[NORM].overall  # or the cohort would not be tested

    head, *lines = capsys.readouterr().out.splitlines()[-20:]
    assert head.split() == ["before", RERANK, NORM]
    _, before, after, change, *_ = next(line for line in lines if line.startswith("map@5")).split()
    assert float(before) == pytest.approx(plain["overall"]["map@5"], abs=6e-5)
    assert float(after) - float(before) == pytest.approx(float(change), abs=2e-4)


def test_all_faults_of_all_chains_are_listed_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.json"
    command = ["evaluate", "no-model", "--data", "nowhere.csv", "--out", str(out), "--json"]
    assert main([*command, *(f"--postprocess={text}" for text in ("rerank:k9=1", "polish", "qe+dba", ""))]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["problems"]) == 4
    for words, problem in zip(("k9", "polish", "do not follow", "no step"), answer["problems"], strict=True):
        assert words in problem
    assert not out.exists()


def test_extras_are_there_when_asked_for(trained: Path, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", str(trained / "model"), "--data", str(table), "--device", "cpu", "--extras"]
    assert main([*command, "--json", "--postprocess", RERANK]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {"verification", "pcf", "intervals"} <= set(report)
    low, high = report["intervals"]["overall"]["map@5"]
    assert low <= report["overall"]["map@5"] <= high
    assert set(report["postprocess"][RERANK]["intervals"]["overall"]) == set(report["overall"])
    assert report["categories"]
    for figures in report["categories"].values():
        assert figures.keys() == report["intervals"]["overall"].keys() > report["overall"].keys()
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("map@5")).endswith(f"({low:.4f} to {high:.4f})")
    point = report["verification"]["points"][0]
    shown = next(line for line in lines if line.startswith("fnmr@0.1 ")).split()
    assert shown[1] == f"{point['fnmr']:.4f}"
    assert shown[-1] == f"{point['threshold']:.4f}"
    assert lines[-2].startswith("(low to high): 95 % interval")
    assert main([*command, "--postprocess", RERANK]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("map@5"))
    before, after = report["overall"]["map@5"], report["postprocess"][RERANK]["overall"]["map@5"]
    assert line.split() == f"map@5 {before:.4f} ({low:.4f} to {high:.4f}) {after:.4f} {after - before:+.4f}".split()


def test_photos_that_train_too_are_told(trained: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos.parent / "6/0.jpg").write_bytes((photos.parent / "0/0.jpg").read_bytes())
    assert main(["evaluate", str(trained), "--data", str(photos), "--device", "cpu", "--json"]) == 0
    assert "Validation samples of files that train too: 1 (6/0.jpg)" in capsys.readouterr().err


@pytest.mark.parametrize(("out", "words"), [("no/report.json", "no is not there"), (".", "is a folder")])
def test_where_the_report_cannot_go_is_said_first(
    out: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (["evaluate", "no-model", "--data", "x.csv"], ["embed", "no-model", "--data", "x.csv"]):
        assert main([*command, "--out", out]) == 2
        assert words in capsys.readouterr().err


def test_embed_takes_photos_without_labels(trained: Path, table: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for name in ("0", "7"):
        (flat / f"{name}.jpg").write_bytes((table.parent / name / "0.jpg").read_bytes())
    out = tmp_path / "embeddings.npy"
    assert main(["embed", str(trained), "--data", str(flat), "--out", str(out), "--device", "cpu"]) == 0
    files = [(flat / f"{name}.jpg").read_bytes() for name in ("0", "7")]
    expected = load_model(trained / "model").embed_files(files)
    assert (np.load(out) * expected).sum(1) == pytest.approx(1, abs=1e-4)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    rows = pd.read_csv(tmp_path / "embeddings.rows.csv", keep_default_na=False)
    assert list(rows.columns) == ["path", "label", "x_1", "y_1", "x_2", "y_2"]
    assert rows["path"].tolist() == ["0.jpg", "7.jpg"]


def test_embed_tells_the_photo_of_each_row_and_spares_the_table(
    trained: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("0", "7"):
        (tmp_path / f"={name}.jpg").write_bytes((table.parent / name / "0.jpg").read_bytes())
    boxes = tmp_path / "boxes.rows.csv"
    boxes.write_text("path,x_1,y_1,x_2,y_2\n'=7.jpg,0,0,20,30\n'=0.jpg,,,,\n'=7.jpg,1,1,30,30\n")
    command = ["embed", str(trained), "--data", str(boxes), "--device", "cpu", "--out"]
    assert main([*command, str(tmp_path / "boxes.npy")]) == 2
    assert "boxes.rows.csv is the table itself" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "out.npy")]) == 0
    rows = pd.read_csv(tmp_path / "out.rows.csv", dtype=str, keep_default_na=False).drop(columns="label")
    assert rows.to_csv(index=False) == boxes.read_text()


def test_embed_gives_each_row_one_record_and_spares_what_others_wrote(
    trained: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["a\nb.jpg", "a\rb.jpg", "c.jpg"]
    (tmp_path / "photos").mkdir()
    for name in names:
        (tmp_path / "photos" / name).write_bytes((table.parent / "0/0.jpg").read_bytes())
    command = ["embed", str(trained), "--data", str(tmp_path / "photos"), "--device", "cpu", "--out"]
    for version in ("v1.0", "v1.1", "v1.1"):  # its own table it writes anew
        assert main([*command, str(tmp_path / version)]) == 0
        assert pd.read_csv(tmp_path / f"{version}.rows.csv")["path"].tolist() == names
    (tmp_path / "list.rows.csv").write_text("somebody's own")
    assert main([*command, str(tmp_path / "list.npy")]) == 2
    assert "list.rows.csv is there and is no table that this command wrote" in capsys.readouterr().err
    assert (tmp_path / "list.rows.csv").read_text() == "somebody's own"
    assert not (tmp_path / "list.npy").exists()


def test_queries_that_are_all_alike_have_no_interval() -> None:
    report = SimpleNamespace(intervals={"cmc@1": (1.0, 1.0), "mrr": (0.5, 0.75)})
    assert [interval_text(report, name) for name in ("cmc@1", "mrr", "map@r")] == ["", "  (0.5000 to 0.7500)", ""]
