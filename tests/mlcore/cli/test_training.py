"""`train`: the same seed, the same model; where decoded photos go; and every damaged photo named."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlcore.cli import main

pytestmark = pytest.mark.slow
Train = Callable[..., int]


def weights(out: Path) -> str:
    return str(json.loads((out / "model/config.json").read_text())["weights_sha256"])


def test_a_seed_decides_the_weights_and_the_report(train: Train, trained: Path, tmp_path: Path) -> None:
    assert train(tmp_path / "again", "--workers", "2", "--cache", "none") == 0
    assert weights(tmp_path / "again") == weights(trained)
    again, before = ((out / "report.json").read_text() for out in (tmp_path / "again", trained))
    assert again == before
    assert train(tmp_path / "other", "--set", "seed=1") == 0
    assert weights(tmp_path / "other") != weights(trained)


def test_decoded_photos_go_where_they_are_told(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert train(tmp_path / "a", "--cache", str(tmp_path / "mine")) == 0
    assert list((tmp_path / "mine").glob("*/squares"))
    assert train(tmp_path / "b", "--cache", "none") == 0
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "mine"}
    assert train(tmp_path / "c") == 0
    assert list((tmp_path / "home/kindred/photos").glob("*/squares"))
    assert not [file for name in "abc" for file in (tmp_path / name).rglob("squares")]


def test_of_two_processes_one_writes_and_reports(table: Path, recipe_file: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "mlcore"]
    more = ["train", "--data", str(table), "--recipe", str(recipe_file), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [*command, *more, "--device", "cpu", "--cache", "none"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("best at step") == 1
    assert weights(tmp_path / "out")
    assert (tmp_path / "out/report.json").exists()


def test_every_damaged_photo_is_named(train: Train, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = photos.parent
    for name in ("6/2.jpg", "9/3.jpg"):
        (root / name).write_bytes((root / name).read_bytes()[:300])
    out = root.parent / "out"
    assert train(out, "--json", "--cache", "none", data=photos) == 2
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["error"] == "2 photos cannot be read."
    assert [problem.partition(":")[0] for problem in answer["problems"]] == ["6/2.jpg", "9/3.jpg"]
    assert not (out / "model").exists()


def test_a_device_that_is_not_here_is_refused(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for device in ("cuda:63", "toaster"):
        assert train(tmp_path / "out", "--device", device) == 2
        assert f"--device {device} cannot be used" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_table_that_is_none_is_refused_like_any_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("in the way")
    command = ["train", "--data", str(tmp_path / "no.csv"), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert "is a file. Name a folder." in capsys.readouterr().err


@pytest.mark.parametrize("out", ["file", "file/below/it"])
def test_where_the_model_cannot_go_is_said_before_any_work(
    out: str, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert train(tmp_path / out) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'file'} is a file. Name a folder.\n"


def test_labels_whose_photos_repeat_in_a_batch_are_told(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path / "out", "--set", "sampler.instances=5") == 0
    assert "A batch takes 5 samples of each label, and repeats photos" in capsys.readouterr().err


def test_a_stop_is_the_last_word_for_machines(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def stopped() -> Iterator[threading.Event]:
        stop = threading.Event()
        stop.set()
        yield stop

    monkeypatch.setattr("mlcore.cli.training.stop_on_signals", stopped)
    assert train(tmp_path / "out", "--json") == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["event"], last["result"]["steps"], last["result"]["model_dir"]) == ("Stopped", 0, None)
