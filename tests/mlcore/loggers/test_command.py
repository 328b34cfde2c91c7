"""`train --log`: every logger at once, and the model is the one that a training without them gives."""

import json
from pathlib import Path

import pytest
import yaml

from mlcore.cli import main
from mlcore.loggers import LOGGERS
from tests.mlcore.photos import make_photos, small_recipe, write_folder

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
for logger in LOGGERS.values():
    for package in logger.packages:
        pytest.importorskip(package)


def test_all_of_them_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("WANDB_MODE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    table = write_folder(tmp_path / "photos", *make_photos())
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(small_recipe(steps=2).model_dump(mode="json")))
    command = ["train", "--data", str(table), "--recipe", str(recipe), "--device", "cpu", "--cache", "none", "--json"]
    assert main([*command, "--out", "without"]) == 0
    without = capsys.readouterr()
    assert main([*command, "--out", "with", *(word for name in LOGGERS for word in ("--log", name))]) == 0
    with_them = capsys.readouterr()
    models = [json.loads(Path(out, "model/config.json").read_text()) for out in ("with", "without")]
    assert models[0]["weights_sha256"] == models[1]["weights_sha256"]
    lines = [[json.loads(line)["event"] for line in text.out.splitlines()] for text in (with_them, without)]
    assert lines[0] == lines[1]  # nothing of theirs among the events
    assert "warning" not in with_them.err
    for name in LOGGERS:
        assert list(Path("with", name).iterdir())
        assert not Path("without", name).exists()
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "recipe.yaml", "with", "without"}
