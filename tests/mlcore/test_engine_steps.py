"""One step of the loop: which gradients move the weights, how far, and which weights become the model."""

import math
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mlcore.checkpoint import read_checkpoint
from mlcore.config import AllMiner, Constant, Optimizer, Recipe, Triplet, ViT
from mlcore.distributed import World
from mlcore.engine import Training, checkpoints
from mlcore.errors import InputError
from mlcore.events import Message, StepDone
from tests.mlcore.photos import make_photos, small_recipe
from tests.mlcore.test_engine import Recorder, assert_same, train

pytestmark = pytest.mark.slow
PLAIN = {"kind": "sgd", "lr": 0.1, "momentum": 0, "weight_decay": 0, "schedule": Constant()}
ROWS = (torch.arange(0, 8), torch.arange(8, 16))  # two labels of four photos each
IMAGES = tuple(torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))


def plain(out: Path, *, backbone_lr: float = 1.0, **optimizer: object) -> Training:
    """A training whose steps can be followed by hand."""
    extractor = ViT(dimension=16, backbone_lr=backbone_lr)
    return made(
        out,
        small_recipe(
            amp="none",
            loss=Triplet(miner=AllMiner()),
            extractor=extractor,
            optimizer=Optimizer(**{**PLAIN, **optimizer}),
        ),
    )


def made(out: Path, recipe: Recipe) -> Training:
    manifest, source = make_photos()
    return Training(recipe, manifest, source, out, lambda event: None, lambda: False, "cpu", out / "cache", World())


def weights(training: Training) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in training.learning()])


def gradients(out: Path, batch: int) -> Tensor:
    """Those of a batch, by the weights that every training here begins with."""
    training = plain(out)
    training.train_step(IMAGES[batch], ROWS[batch])
    return torch.cat([parameter.grad.flatten() for parameter in training.learning() if parameter.grad is not None])


def test_accumulated_batches_move_the_weights_by_the_mean_of_their_gradients(tmp_path: Path) -> None:
    training = plain(tmp_path, accumulate=2)
    before = weights(training)
    training.train_step(IMAGES[0], ROWS[0])
    assert torch.equal(weights(training), before)
    training.progress.step = 1
    training.train_step(IMAGES[1], ROWS[1])
    mean = (gradients(tmp_path, 0) + gradients(tmp_path, 1)) / 2
    assert torch.allclose(weights(training) - before, -0.1 * mean, atol=1e-6)


def test_gradients_are_clipped_to_their_norm(tmp_path: Path) -> None:
    norm = gradients(tmp_path, 0).double().norm()
    training = plain(tmp_path, clip_norm=float(norm) / 4)
    before = weights(training)
    training.train_step(IMAGES[0], ROWS[0])
    assert torch.allclose(weights(training) - before, -0.1 * gradients(tmp_path, 0) / 4, rtol=1e-3, atol=1e-6)


def test_every_part_learns_at_its_own_rate(tmp_path: Path) -> None:
    whole, slow = plain(tmp_path), plain(tmp_path, backbone_lr=0.25)
    start = {name: value.clone() for name, value in whole.network.state_dict().items()}
    for training in (whole, slow):
        training.train_step(IMAGES[0], ROWS[0])
    for name, before in start.items():
        moved, slowly = (training.network.state_dict()[name] - before for training in (whole, slow))
        share = 0.25 if name.startswith("backbone.") else 1.0
        assert torch.allclose(slowly, share * moved, atol=1e-6), name


def test_averaged_weights_are_what_is_validated_and_kept(tmp_path: Path) -> None:
    training = plain(tmp_path, ema=0.5)
    own = {name: value.clone() for name, value in training.network.state_dict().items()}
    for step in range(2):
        training.progress.step = step
        training.train_step(IMAGES[step], ROWS[step])
    training.progress.step = 2
    training.validate()
    assert training.average is not None
    kept, now = training.best_weights, training.network.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in training.average.weights.items())
    assert any(not torch.equal(kept[name], now[name]) for name in own)


def test_half_precision_trains_and_goes_on_exactly(tmp_path: Path) -> None:
    recipe = small_recipe(amp="fp16", steps=4)
    recorder = Recorder()
    whole = train(tmp_path / "whole", recipe, recorder)
    assert all(math.isfinite(event.loss) for event in recorder.of(StepDone))
    train(tmp_path / "parts", recipe, Recorder(stop_at=2))
    assert_same(train(tmp_path / "parts", recipe, resume_from=checkpoints(tmp_path / "parts")[-1]), whole)


def test_the_scale_of_half_precision_is_part_of_a_checkpoint(tmp_path: Path) -> None:
    recipe = small_recipe(amp="fp16", steps=2)
    train(tmp_path, recipe, Recorder(stop_at=1))
    state = read_checkpoint(checkpoints(tmp_path)[-1])
    state["scaler"]["scale"] = 128.0
    training = made(tmp_path, recipe)
    training.restore(state)
    assert training.scaler.get_scale() == 128.0


def test_a_loss_that_is_no_number_ends_the_training_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"The loss became nan by step 2\. Lower the learning rate"):
        train(tmp_path, small_recipe(optimizer=Optimizer(lr=1e9)))


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_it_learns_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    losses = []
    for compiled in (False, True):
        recorder = Recorder()
        extractor = ViT(dimension=8, statistics=True)
        recipe = small_recipe(compile=compiled, steps=2, amp="none", extractor=extractor)
        train(tmp_path / str(compiled), recipe, recorder)
        assert not [message.text for message in recorder.of(Message) if "compile" in message.text]
        losses.append([event.loss for event in recorder.of(StepDone)])
    assert any((tmp_path / "inductor").rglob("*.so"))  # or this would prove nothing
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_a_compiled_network_is_the_one_that_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def compiled(network: torch.nn.Module) -> object:
        def forward(images: Tensor) -> Tensor:
            calls.append(len(images))
            embeddings: Tensor = network(images)
            return embeddings

        return forward

    monkeypatch.setattr(torch, "compile", compiled)
    train(tmp_path, small_recipe(compile=True, steps=2))
    assert calls == [8, 8]
