"""Lightning's loop trains what `fit` trains: step by step, resumed, on two processes, down to the model's folder."""

import doctest
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlcore import compat  # noqa: F401  before Lightning, which imports torchvision
from mlcore.cli import main
from mlcore.config import ArcFace, Recipe, ResNet
from mlcore.engine import TrainResult, fit
from mlcore.errors import InputError
from mlcore.events import Event, StepDone, Validated
from tests.mlcore.photos import make_photos, small_recipe, write_folder
from tests.mlcore.test_validation import other_set

lightning = pytest.importorskip("lightning")
ours = importlib.import_module("mlcore.lightning")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}


class Kept(lightning.Callback):  # type: ignore[misc]
    """The loss of each step, undivided, and the figures of each validation."""

    def __init__(self, place: str = "overall/") -> None:
        self.place = place
        self.losses: list[float] = []
        self.figures: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append(float(outputs["loss"]) * trainer.accumulate_grad_batches)

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.figures.append({name: value for name, value in figures.items() if name.startswith(self.place)})


def by_lightning(recipe: Recipe, *callbacks: Any, ckpt_path: Path | None = None) -> tuple[Any, Kept]:
    module, kept = ours.MetricLearning(recipe, *make_photos()), Kept()
    settings = {**ours.trainer_settings(recipe), **QUIET, "enable_checkpointing": bool(callbacks)}
    lightning.Trainer(**settings, callbacks=[kept, *callbacks]).fit(module, ckpt_path=ckpt_path)
    return module, kept


@pytest.mark.parametrize(("fast", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_it_asks_for_no_bf16_that_is_only_imitated(monkeypatch: pytest.MonkeyPatch, fast: bool, precision: str) -> None:
    monkeypatch.setattr("mlcore.engine.training.has_fast_bf16", lambda device: fast)
    assert ours.trainer_settings(small_recipe(), "cpu")["precision"] == precision


@pytest.mark.parametrize(("device", "devices"), [("cpu", None), ("cuda", None), ("cuda:1", [1])])
def test_it_asks_for_the_device_that_is_named(
    monkeypatch: pytest.MonkeyPatch, device: str, devices: list[int] | None
) -> None:
    monkeypatch.setattr("mlcore.engine.training.has_fast_bf16", lambda device: False)
    settings = ours.trainer_settings(small_recipe(), device)
    assert (settings["accelerator"], settings.get("devices")) == (device.split(":")[0], devices)


def by_fit(recipe: Recipe, out: Path) -> tuple[TrainResult, list[Event]]:
    manifest, source = make_photos()
    events: list[Event] = []
    return fit(recipe, manifest, source=source, out_dir=out, on_event=events.append, device="cpu"), events


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"amp": "none", "loss": ArcFace(), "extractor": ResNet(dimension=16)},
        {"loss": {"kind": "triplet", "miner": {"kind": "hard"}, "memory": {"size": 20}}, "steps": 7},
        {"optimizer": {"lr": 1e-3, "accumulate": 3, "clip_norm": 1.0, "ema": 0.9}, "steps": 8},
        {"optimizer": {"lr": 3e-3, "schedule": {"kind": "plateau", "patience": 1}}, "validate_every": 1},
        {"optimizer": {"lr": 1e-9}, "validate_every": 1, "patience": 2, "steps": 9},
    ],
    ids=["plain", "arcface", "bank", "accumulated and averaged", "plateau", "stopped early"],
)
def test_losses_validations_and_model_are_those_of_fit(tmp_path: Path, changes: dict[str, Any]) -> None:
    recipe = small_recipe(**changes)
    result, events = by_fit(recipe, tmp_path)
    module, kept = by_lightning(recipe)
    assert kept.losses == pytest.approx([each.loss for each in events if isinstance(each, StepDone)], abs=1e-4)
    validations = [each.metrics for each in events if isinstance(each, Validated)][1:]  # the first is of no step
    assert len(kept.figures) == len(validations)
    for ours_, theirs in zip(kept.figures, validations, strict=True):
        assert ours_ == pytest.approx({f"overall/{name}": value for name, value in theirs.items()}, abs=1e-4)
    assert module.parts.progress.best_step == result.best_step
    assert result.steps == len(kept.losses)
    assert result.model_dir is not None
    written = json.loads((result.model_dir / "config.json").read_text())
    assert module.save(tmp_path / "saved").extractor.model_dump(mode="json") == written["extractor"]


def test_further_sets_are_measured_as_by_fit(tmp_path: Path) -> None:
    also = {"other": other_set(), "pair": other_set(labels=2, samples=2)}
    recipe = small_recipe(amp="none", best_metric="sets/other/map@r", validate_every=1, optimizer={"lr": 3e-3})
    manifest, source = make_photos()
    events: list[Event] = []
    result = fit(recipe, manifest, source=source, out_dir=tmp_path, on_event=events.append, device="cpu", also=also)
    module, kept = ours.MetricLearning(recipe, manifest, source, also=also), Kept("sets/")
    settings = {**ours.trainer_settings(recipe), **QUIET, "enable_checkpointing": False}
    lightning.Trainer(**settings, callbacks=[kept]).fit(module)
    expected = [each.sets for each in events if isinstance(each, Validated)][1:]
    assert len(kept.figures) == len(expected) == recipe.steps
    for found, sets in zip(kept.figures, expected, strict=True):
        flat = {f"sets/{name}/{key}": value for name, figures in sets.items() for key, value in figures.items()}
        assert found == pytest.approx(flat, abs=1e-4)
    assert module.parts.progress.best_step == result.best_step
    assert module.parts.progress.best_sets == {
        name: pytest.approx(figures, abs=1e-4) for name, figures in result.best_sets.items()
    }
    with pytest.raises(InputError) as caught:
        ours.MetricLearning(recipe, manifest, source)
    assert any("no further validation sets" in problem for problem in caught.value.problems)


def test_a_checkpoint_goes_on_with_its_own_sets_alone() -> None:
    recipe = small_recipe()
    manifest, source = make_photos()
    with_a_set = ours.MetricLearning(recipe, manifest, source, also={"other": other_set()})
    checkpoint: dict[str, Any] = {}
    with_a_set.on_save_checkpoint(checkpoint)
    with_a_set.on_load_checkpoint(checkpoint)
    without = ours.MetricLearning(recipe, manifest, source)
    with pytest.raises(InputError, match=r"with further validation sets \(other\)"):
        without.on_load_checkpoint(checkpoint)
    del checkpoint["kindred"]["sets"]  # an older one
    without.on_load_checkpoint(checkpoint)


def test_a_resumed_training_is_the_undisturbed_one(tmp_path: Path) -> None:
    recipe = small_recipe(optimizer={"lr": 1e-3, "ema": 0.9}, loss={"kind": "triplet", "memory": {"size": 20}}, steps=8)
    whole, all_of_it = by_lightning(recipe)
    saving = lightning.pytorch.callbacks.ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, every_n_epochs=1)
    by_lightning(recipe, saving)
    resumed, rest = by_lightning(recipe, ckpt_path=tmp_path / "epoch=0.ckpt")
    assert rest.losses == all_of_it.losses[3:]
    assert rest.figures == all_of_it.figures[1:]
    assert resumed.save(tmp_path / "a").weights_sha256 == whole.save(tmp_path / "b").weights_sha256


def test_the_example_runs_and_its_model_is_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where Lightning leaves its own log
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    manifest, source = make_photos()
    folder = tmp_path / "model"
    names = {**vars(ours), "recipe": small_recipe(), "manifest": manifest, "source": source, "folder": folder}
    for example in doctest.DocTestParser().get_examples(ours.__doc__):  # Lightning prints much, in its own way
        exec(example.source, names)  # noqa: S102
    table = write_folder(tmp_path / "photos", manifest, source)
    report = tmp_path / "report.json"
    assert main(["evaluate", str(folder), "--data", str(table), "--device", "cpu", "--out", str(report)]) == 0
    assert json.loads(report.read_text())["counts"]["queries"] == 16


PROCESS = """
import json, sys
from pathlib import Path
import torch
from torch.utils.data import DataLoader, Dataset
from mlcore.config import Recipe
from mlcore.lightning import MetricLearning, trainer_settings
import lightning
from tests.mlcore.photos import make_photos
from tests.mlcore.test_lightning import QUIET, Kept

manifest, source = make_photos(validation_labels=3, samples=3)  # 9 rows: not even
recipe = Recipe.model_validate_json(sys.argv[2])
module, kept = MetricLearning(recipe, manifest, source), Kept()

class Rows(Dataset):
    def __len__(self):
        return len(module.parts.sets[0].manifest)

    def __getitem__(self, row):
        key = module.parts.sets[0].manifest["image_key"][row]
        return module.parts.preprocess.read(source(key), None), row

strategy = lightning.pytorch.strategies.DDPStrategy(process_group_backend="gloo")
settings = {**trainer_settings(recipe), **QUIET, "enable_checkpointing": False, "devices": 2, "strategy": strategy}
trainer = lightning.Trainer(**settings, callbacks=[kept])
trainer.fit(module)
# Lightning deals these out itself, and repeats a row so that both processes have five.
filled_up = trainer.validate(module, DataLoader(Rows(), batch_size=2), verbose=False)
if trainer.is_global_zero:
    Path(sys.argv[1]).write_text(json.dumps([kept.losses, kept.figures, filled_up[0]]))
"""


def test_two_processes_train_and_validate_as_one(tmp_path: Path) -> None:
    recipe = small_recipe(amp="none", loss=ArcFace(), optimizer={"lr": 1e-3, "clip_norm": 0.5}, steps=4)
    manifest, source = make_photos(validation_labels=3, samples=3)
    module, kept = ours.MetricLearning(recipe, manifest, source), Kept()
    settings = {**ours.trainer_settings(recipe), **QUIET, "enable_checkpointing": False}
    lightning.Trainer(**settings, callbacks=[kept]).fit(module)

    script, out = tmp_path / "process.py", tmp_path / "out.json"
    script.write_text(PROCESS)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(["platform", "."])}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run(
        [*command, str(script), str(out), recipe.model_dump_json()], env=environment, check=True, timeout=300
    )
    losses, figures, filled_up = json.loads(out.read_text())
    assert losses == pytest.approx(kept.losses, abs=1e-4)
    assert len(figures) >= len(kept.figures)
    for two, one in zip(figures, kept.figures, strict=False):
        assert two == pytest.approx(one, abs=1e-4)
    assert filled_up == pytest.approx(kept.figures[-1], abs=1e-4)


def test_what_cannot_train_is_refused_at_once() -> None:
    recipe = small_recipe(optimizer={"accumulate": 2}, sampler={"kind": "balanced", "labels": 40, "instances": 2})
    with pytest.raises(InputError) as refusal:
        ours.MetricLearning(recipe, *make_photos())
    assert len(refusal.value.problems) == 2
    assert "multiple of accumulate" in refusal.value.problems[-1]
