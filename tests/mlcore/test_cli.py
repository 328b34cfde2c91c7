"""The command line on folders and tables: results, exit codes, and every fault listed."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from mlcore.cli import main
from mlcore.cli.recipes import load_recipe
from mlcore.config import PRESETS
from mlcore.engine import checkpoints
from mlcore.errors import InputError
from tests.mlcore.photos import make_photos, small_recipe, write_folder


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("photos"), *make_photos())


@pytest.fixture(scope="module")
def trained(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    recipe = out / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(small_recipe(steps=2).model_dump(mode="json")))
    assert main(["train", "--data", str(table), "--recipe", str(recipe), "--out", str(out), "--device", "cpu"]) == 0
    return out


@pytest.mark.slow
def test_train_writes_a_model_and_its_report(trained: Path) -> None:
    report = json.loads((trained / "report.json").read_text())
    assert {"cmc@1", "precision@5", "map@5", "map@r"} <= set(report["overall"])
    assert report["counts"] == {"queries": 16, "gallery": 16, "queries_without_match": 0}
    assert set(report["categories"]) == {"round", "square"}
    written = {path.name for path in (trained / "model").iterdir()}
    assert written == {"config.json", "recipe.yaml", "weights.safetensors"}
    assert load_recipe(str(trained / "model" / "recipe.yaml")) == small_recipe(steps=2)


@pytest.mark.slow
def test_a_preset_starts_at_what_fits_and_says_so(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--data", str(table), "--recipe", "quick", "--out", str(tmp_path), "--device", "cpu"]
    small = ["steps=1", "extractor.kind=vit", "preprocess.size=32"]
    changes = [part for change in small for part in ("--set", change)]
    assert main([*command, *changes]) == 0
    assert "sampler.labels = 6: 16 in the preset; the train split has 6 labels." in capsys.readouterr().err
    assert main([*command, *changes, "--set", "sampler.labels=9"]) == 2  # what somebody wrote is not changed
    assert "Set labels in a batch to 6 or fewer" in capsys.readouterr().err


@pytest.mark.slow
def test_evaluate_repeats_the_report(trained: Path, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = trained / "again.json"
    command = ["evaluate", str(trained / "model"), "--data", str(table), "--out", str(out), "--json", "--device", "cpu"]
    assert main(command) == 0
    assert json.loads(out.read_text()) == json.loads((trained / "report.json").read_text())
    assert json.loads(capsys.readouterr().out) == json.loads(out.read_text())


@pytest.mark.slow
def test_embed_writes_one_row_per_sample(trained: Path, table: Path) -> None:
    out = trained / "embeddings.npy"
    assert main(["embed", str(trained / "model"), "--data", str(table), "--out", str(out), "--device", "cpu"]) == 0
    embeddings = np.load(out)
    assert embeddings.shape == (40, 16)
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_a_signal_stops_the_training_with_a_checkpoint(trained: Path, table: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mlcore", "train", "--json", "--device", "cpu"]
    command += ["--data", str(table), "--recipe", str(trained / "recipe.yaml"), "--set", "steps=500"]
    with subprocess.Popen([*command, "--out", str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert any('"StepDone"' in line for line in child.stdout)
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=120)
    assert child.returncode == 0
    assert len(checkpoints(tmp_path)) in (1, 2)
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
def test_resume_goes_on_from_the_newest_checkpoint(
    trained: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["train", "--data", str(table), "--recipe", str(trained / "recipe.yaml"), "--device", "cpu"]
    assert main([*common, "--out", str(trained), "--resume", "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[0] == {**events[0], "event": "Started", "first_step": 2}
    assert events[-1]["event"] == "Finished"
    assert main([*common, "--out", str(trained / "empty"), "--resume"]) == 2
    assert "no checkpoint" in capsys.readouterr().err


def test_check_lists_every_fault_and_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, source = make_photos()
    table = write_folder(tmp_path, manifest, source)
    assert main(["check", str(table)]) == 0
    (tmp_path / "0/0.jpg").write_bytes(source.photos["0/0.jpg"][:200])
    (tmp_path / "1/0.jpg").write_text("not a photo")
    (tmp_path / "2/0.jpg").unlink()
    capsys.readouterr()
    assert main(["check", str(table), "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 40
    assert [problem["row"] for problem in found["problems"] if problem["severity"] == "error"] == [2, 6, 10]


def test_a_folder_per_label_needs_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path, *make_photos()).unlink()
    assert main(["check", str(tmp_path)]) == 0
    assert "40 rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--data", "nowhere.csv", "--out", "out"], "nowhere.csv"),
        (["train", "--data", ".", "--out", "out"], "no photos"),
        (["train", "--data", ".", "--out", "out", "--recipe", "fastest"], "quick"),
        (["train", "--data", ".", "--out", "out", "--set", "steps"], "key=value"),
        (["train", "--data", ".", "--out", "out", "--set", "stepz=3"], "stepz"),
        (["evaluate", "nothing", "--data", "."], "no readable model"),
        (["pairs", "nothing", "--data", ".", "--out", "head"], "nothing holds no readable model"),
        (["pairs", ".", "--data", ".", "--out", "head"], ". holds no readable model"),
        (["pairs", "nothing", "--data", ".", "--out", "no/head"], "no is not there"),
    ],
)
def test_bad_input_exits_2_and_says_what(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_module_runs_and_exits_with_its_code(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "mlcore", "check", str(tmp_path / "no")], check=False)
    assert done.returncode == 2


def test_settings_change_single_keys() -> None:
    recipe = load_recipe("quick", ["steps=7", "optimizer.lr=1e-4", "loss.kind=triplet", "loss.margin=null"])
    assert recipe.steps == 7
    assert recipe.optimizer.lr == 1e-4
    assert recipe.loss.kind == "triplet"
    assert recipe.loss.margin is None
    assert recipe.sampler == PRESETS["quick"].sampler


def test_every_fault_of_a_recipe_is_named(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("steps: -1\nloss: {kind: arcface, margn: 0.2}\n")
    with pytest.raises(InputError) as caught:
        load_recipe(str(file))
    assert len(caught.value.problems) == 2
    assert any("margn" in problem for problem in caught.value.problems)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json_and_yaml(name: str) -> None:
    recipe = PRESETS[name]
    assert type(recipe).model_validate_json(recipe.model_dump_json()) == recipe
    assert type(recipe).model_validate(yaml.safe_load(yaml.safe_dump(recipe.model_dump(mode="json")))) == recipe
