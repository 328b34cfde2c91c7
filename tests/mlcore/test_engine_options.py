"""What a recipe may ask of the loop beyond the plain walk, and training on several processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mlcore.checkpoint import read_checkpoint
from mlcore.config import (
    ArcFace,
    Constant,
    DistinctCategorySampler,
    MemoryBank,
    NTXent,
    Optimizer,
    Plateau,
    Recipe,
    Triplet,
)
from mlcore.engine import checkpoints
from mlcore.errors import InputError
from mlcore.events import Message, StepDone, Validated
from tests.mlcore.photos import make_photos, small_recipe
from tests.mlcore.test_engine import Recorder, assert_same, train

pytestmark = pytest.mark.slow

EVERYTHING = small_recipe(
    loss=NTXent(memory=MemoryBank(size=64)),
    optimizer=Optimizer(kind="sgd", lr=0.05, accumulate=2, clip_norm=1.0, ema=0.9, schedule=Constant(warmup=0.2)),
)


def test_a_run_with_every_option_goes_on_exactly_where_it_was(tmp_path: Path) -> None:
    """Stopped between two batches that are accumulated, with a memory bank, averaged weights and SGD."""
    whole = train(tmp_path / "whole", EVERYTHING)
    first = train(tmp_path / "parts", EVERYTHING, Recorder(stop_at=3))
    assert first.stopped
    assert any(each is not None for each in read_checkpoint(checkpoints(tmp_path / "parts")[-1])["gradients"])
    assert_same(train(tmp_path / "parts", EVERYTHING, resume_from=checkpoints(tmp_path / "parts")[-1]), whole)


def test_training_ends_early_when_nothing_gets_better(tmp_path: Path) -> None:
    recipe = small_recipe(steps=50, validate_every=1, patience=2, optimizer=Optimizer(lr=1e-12))
    recorder = Recorder()
    result = train(tmp_path, recipe, recorder)
    assert not result.stopped
    assert result.model_dir is not None
    values = [event.metrics["cmc@1"] for event in recorder.of(Validated)][1:]
    best = result.best_step
    assert result.steps == best + 2 < 50
    assert max(values[best:]) <= values[best - 1]
    assert any("Stopped early" in message.text for message in recorder.of(Message))


def test_a_plateau_lowers_the_rate(tmp_path: Path) -> None:
    schedule = Plateau(patience=1, factor=0.5)
    recipe = small_recipe(
        steps=6, validate_every=1, log_every=1, optimizer=Optimizer(lr=1e-12, schedule=schedule), loss=Triplet()
    )
    recorder = Recorder()
    train(tmp_path, recipe, recorder)
    better = [event.is_best for event in recorder.of(Validated)][1:]
    expected = [1e-12 * 0.5 ** better[:step].count(False) for step in range(6)]
    assert [event.lr for event in recorder.of(StepDone)] == pytest.approx(expected)
    assert better.count(False) >= 2


@pytest.mark.parametrize("name", ["overall/mrr", "categories/even/cmc@1"])
def test_the_best_may_be_best_at_any_figure(tmp_path: Path, name: str) -> None:
    manifest, source = make_photos()
    manifest["category"] = [["even", "odd"][row % 2] for row in manifest["label"].factorize()[0]]
    assert train(tmp_path, small_recipe(best_metric=name), photos=(manifest, source)).model_dir is not None


@pytest.mark.parametrize("name", ["luck", "overall/luck", "categories/none/cmc@1", "elsewhere/cmc@1"])
def test_a_figure_that_is_not_measured_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is not measured"):
        train(tmp_path, small_recipe(best_metric=name))


def test_categories_reach_sampler_and_loss(tmp_path: Path) -> None:
    manifest, source = make_photos()
    manifest["category"] = [["even", "odd"][number % 2] for number in manifest["label"].factorize()[0]]
    recipe = small_recipe(
        sampler=DistinctCategorySampler(labels=2, instances=2),
        loss=ArcFace(label_smoothing=0.1, category_share=1.0),
    )
    assert train(tmp_path, recipe, photos=(manifest, source)).steps == recipe.steps


def test_a_network_that_cannot_be_compiled_trains_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(network: torch.nn.Module) -> object:
        def forward(images: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no compiler")

        return forward

    monkeypatch.setattr(torch, "compile", unable)
    recorder = Recorder()
    train(tmp_path, small_recipe(compile=True, steps=2), recorder)
    assert any("torch.compile does not work here" in message.text for message in recorder.of(Message))


PROCESS = """
import json, os, sys
from pathlib import Path
from mlcore.config import Recipe
from mlcore.engine import fit
from tests.mlcore.photos import make_photos
manifest, source = make_photos()
recipe = Recipe.model_validate_json(sys.argv[2])
result = fit(recipe, manifest, source=source, out_dir=Path(sys.argv[1]), device="cpu")
if os.environ["RANK"] == "0":
    Path(sys.argv[1], "result.json").write_text(json.dumps([result.best_metrics, result.best_step]))
"""


def test_two_processes_train_the_model_of_one(tmp_path: Path) -> None:
    """Layer norm, no batch statistics: the gradients of the shards add up to those of the whole batch."""
    recipe: Recipe = small_recipe(amp="none", loss=ArcFace(), steps=4)
    alone = train(tmp_path / "one", recipe)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(["platform", "."])}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = tmp_path / "process.py"
    script.write_text(PROCESS)
    out = tmp_path / "two"
    subprocess.run(
        [*command, str(script), str(out), recipe.model_dump_json()], env=environment, check=True, timeout=300
    )
    metrics, best_step = json.loads((out / "result.json").read_text())
    assert best_step == alone.best_step
    assert metrics == pytest.approx(alone.best_metrics, abs=1e-3)
    assert [path.name for path in checkpoints(out)] == [path.name for path in checkpoints(tmp_path / "one")]
