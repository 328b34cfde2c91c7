"""Training: a loop that reads top to bottom, stops when asked, and goes on from a checkpoint exactly where it was."""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mlcore.checkpoint import read_checkpoint, write_checkpoint
from mlcore.config import Optimizer, Recipe
from mlcore.data import Source, TrainingPhotos, training_batches
from mlcore.embed import Stopped, auto_workers, embed_manifest
from mlcore.errors import InputError
from mlcore.evaluate import evaluate
from mlcore.events import CheckpointWritten, Message, OnEvent, ShouldStop, Started, StepDone, Validated
from mlcore.extractors import Network, build_extractor
from mlcore.losses import MetricLoss, build_loss
from mlcore.manifest import photo_groups
from mlcore.model import Embedder, save_model
from mlcore.preprocess import Preprocessor
from mlcore.samplers import plan_batches
from mlcore.table import preflight

COLLAPSE_SPREAD = 0.01  # 1 - length of the mean of a batch's embeddings; 0 when all are the same
CHECKPOINTS_KEPT = 2


@dataclass(frozen=True)
class TrainResult:
    """How a training ended. `stopped`: on request, with a checkpoint to go on from and no model."""

    stopped: bool
    steps: int
    best_step: int
    best_metrics: dict[str, float]
    untrained_metrics: dict[str, float]
    model_dir: Path | None
    seconds: float
    images_per_second: float


@dataclass
class Progress:
    """What a checkpoint holds beside the weights."""

    step: int = 0
    validated_step: int = -1
    best_step: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)
    untrained_metrics: dict[str, float] = field(default_factory=dict)


def learning_rate(step: int, steps: int, config: Optimizer) -> float:
    """One cycle: cosine from 1/25 of the peak up to it, then down to nearly 0. A pure function of the step, from 0."""
    rise = config.schedule.warmup * steps
    if step < rise:
        return config.lr * (1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * step / rise)) / 2)
    fall = (step - rise) / max(1.0, steps - rise)
    return config.lr * (1e-4 + (1 - 1e-4) * (1 + math.cos(math.pi * fall)) / 2)


def checkpoints(out_dir: Path) -> list[Path]:
    """The whole checkpoints in a folder, the oldest first."""
    return sorted(out_dir.glob("checkpoint-*.pt"))


def pick_device(asked: str | None) -> str:
    return asked or ("cuda" if torch.cuda.is_available() else "cpu")


def fit(
    recipe: Recipe,
    manifest: pd.DataFrame,
    *,
    source: Source,
    out_dir: Path,
    on_event: OnEvent = lambda event: None,
    should_stop: ShouldStop = lambda: False,
    resume_from: Path | None = None,
    device: str | None = None,
) -> TrainResult:
    """Trains `recipe` on the manifest's train rows and keeps the weights that validate best.

    Writes checkpoints and, at the end, `model/` into `out_dir`. With one CPU process the result depends on the recipe
    and the rows alone: stopped, killed and resumed, it is the same to the last bit.
    Raises InputError, before any work, for rows or a recipe that cannot train; every fault is listed.
    """
    faults = [problem for problem in preflight(manifest, recipe) if problem.severity == "error"]
    if faults:
        raise InputError("This training cannot start.", [f"{fault.message} {fault.remedy}" for fault in faults])
    return Training(recipe, manifest, source, out_dir, on_event, should_stop, pick_device(device)).run(resume_from)


class Training:
    """The moving parts of one training, so that `run` reads as the loop it is."""

    def __init__(
        self,
        recipe: Recipe,
        manifest: pd.DataFrame,
        source: Source,
        out_dir: Path,
        on_event: OnEvent,
        should_stop: ShouldStop,
        device: str,
    ) -> None:
        self.recipe, self.source, self.out_dir = recipe, source, out_dir
        self.on_event, self.should_stop, self.device = on_event, should_stop, device
        torch.manual_seed(recipe.seed)  # the first weights
        self.train_rows = manifest[manifest["split"] == "train"].reset_index(drop=True)
        self.validation_rows = manifest[manifest["split"] == "validation"].reset_index(drop=True)
        codes, names = pd.factorize(self.train_rows["label"], sort=True)
        self.labels = torch.from_numpy(codes.astype(np.int64))
        self.photo_numbers = torch.from_numpy(photo_groups(self.train_rows).to_numpy(np.int64, copy=True))
        self.network: Network = build_extractor(recipe.extractor, size=recipe.preprocess.size)
        self.loss: MetricLoss = build_loss(recipe.loss, labels=len(names), dimension=recipe.extractor.dimension)
        self.network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss.to(device)
        self.optimizer = torch.optim.AdamW(
            [*self.network.parameters(), *self.loss.parameters()],
            lr=recipe.optimizer.lr,
            weight_decay=recipe.optimizer.weight_decay,
        )
        self.preprocess = Preprocessor(recipe.preprocess)
        self.progress = Progress()
        self.best_weights: dict[str, Tensor] = {}
        self.collapse_reported = False

    def run(self, resume_from: Path | None) -> TrainResult:
        recipe, progress = self.recipe, self.progress
        started = time.monotonic()
        if resume_from is not None:
            self.restore(read_checkpoint(resume_from))
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        self.on_event(Started(recipe.steps, progress.step, self.device, parameters))
        plan = plan_batches(self.train_rows["label"].tolist(), recipe.sampler, steps=recipe.steps, seed=recipe.seed)
        batches = training_batches(
            TrainingPhotos(self.train_rows, self.source, self.preprocess, recipe.augment),
            plan[progress.step :],
            first_step=progress.step,
            seed=recipe.seed,
            workers=auto_workers(recipe.workers),
        )
        images, first_step, last_log, since_log = 0, progress.step, time.monotonic(), 0
        while True:
            try:
                if self.should_stop():
                    raise Stopped
                if self.due(recipe.validate_every) and progress.validated_step < progress.step:
                    self.validate()
                    last_log, since_log = time.monotonic(), 0
            except Stopped:
                self.write_checkpoint()
                return self.result(None, started, images)
            if progress.step > first_step and self.due(recipe.checkpoint_every):
                self.write_checkpoint()
            if progress.step == recipe.steps:
                break
            rows = torch.tensor(plan[progress.step])
            loss, logs = self.train_step(next(batches), rows)
            progress.step += 1
            images += len(rows)
            since_log += len(rows)
            if self.due(recipe.log_every):
                now = time.monotonic()
                lr = learning_rate(progress.step - 1, recipe.steps, recipe.optimizer)
                rate = since_log / max(now - last_log, 1e-6)
                self.on_event(StepDone(progress.step, recipe.steps, loss, lr, rate, logs))
                last_log, since_log = now, 0
        model_dir = self.out_dir / "model"
        self.network.load_state_dict(self.best_weights)
        save_model(model_dir, self.network, recipe.extractor, recipe.preprocess)
        return self.result(model_dir, started, images)

    def due(self, every: int) -> bool:
        """Whether something done every so many steps, and at the end, is to be done now."""
        return self.progress.step % every == 0 or self.progress.step == self.recipe.steps

    def train_step(self, photos: Tensor, rows: Tensor) -> tuple[float, dict[str, float]]:
        """One batch: `photos` `(B, 3, S, S)` uint8, `rows` `(B,)` their places in the train rows."""
        self.network.train()
        # Drawn anew from the step, not carried along: whatever else draws numbers, a resumed run draws the same.
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.progress.step)
        lr = learning_rate(self.progress.step, self.recipe.steps, self.recipe.optimizer)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        images = self.preprocess.normalise(photos.to(self.device)).contiguous(memory_format=torch.channels_last)
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.recipe.amp == "bf16"):
            embeddings = self.network(images)  # (B, 3, S, S) -> (B, D)
        output = self.loss(embeddings, self.labels[rows].to(self.device), self.photo_numbers[rows].to(self.device))
        self.optimizer.zero_grad(set_to_none=True)
        output.value.backward()
        self.optimizer.step()
        spread = float(1 - embeddings.detach().float().mean(0).norm())
        self.watch_collapse(spread)
        loss = float(output.value.detach())
        if not math.isfinite(loss):
            raise InputError(
                f"The loss became {loss} at step {self.progress.step + 1}. Lower the learning rate "
                f"(now {self.recipe.optimizer.lr:g}), or train without bf16."
            )
        return loss, {**output.logs, "spread": spread}

    def watch_collapse(self, spread: float) -> None:
        """Says, once, that all photos get the same embedding: such a model finds nothing."""
        if spread < COLLAPSE_SPREAD and not self.collapse_reported:
            self.collapse_reported = True
            text = (
                f"The model has collapsed at step {self.progress.step + 1}: all photos get nearly the same embedding "
                f"(spread {spread:.4f}). Lower the learning rate, or use the ArcFace loss."
            )
            self.on_event(Message(text, level="warning"))

    def validate(self) -> None:
        """Evaluates the validation rows and keeps the weights if they are the best so far."""
        progress, name = self.progress, self.recipe.best_metric
        embedder = Embedder(self.network, self.recipe.preprocess, self.device)
        embeddings = embed_manifest(
            embedder,
            self.validation_rows,
            self.source,
            workers=self.recipe.workers,
            should_stop=self.should_stop,
        )
        metrics = evaluate(embeddings, self.validation_rows).overall
        if name not in metrics:
            known = ", ".join(sorted(metrics))
            raise InputError(f"The recipe asks for the best {name}, which is not measured. Choose one of: {known}.")
        is_best = progress.step > 0 and (not self.best_weights or metrics[name] > progress.best_metrics[name])
        if progress.step == 0:
            progress.untrained_metrics = metrics
        if is_best:
            progress.best_step, progress.best_metrics = progress.step, metrics
            self.best_weights = {key: value.detach().cpu().clone() for key, value in self.network.state_dict().items()}
        progress.validated_step = progress.step
        self.on_event(Validated(progress.step, metrics, is_best))

    def write_checkpoint(self) -> None:
        """Writes the whole state; keeps the last few. A full disk costs this checkpoint, not the training."""
        state: dict[str, Any] = {
            "recipe": self.recipe.model_dump_json(),
            "progress": vars(self.progress).copy(),
            "network": self.network.state_dict(),
            "loss": self.loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best_weights": self.best_weights,
            "collapse_reported": self.collapse_reported,
        }
        path = self.out_dir / f"checkpoint-{self.progress.step:07d}.pt"
        try:
            sha256 = write_checkpoint(path, state)
        except OSError as error:
            text = f"The checkpoint of step {self.progress.step} could not be written ({error}); the last one stays."
            self.on_event(Message(text, level="warning"))
            return
        self.on_event(CheckpointWritten(self.progress.step, str(path), sha256))
        for old in checkpoints(self.out_dir)[:-CHECKPOINTS_KEPT]:  # only now: the event has published the new one
            old.unlink(missing_ok=True)

    def restore(self, state: dict[str, Any]) -> None:
        """Puts everything back as it was. Raises InputError for the checkpoint of another recipe."""
        if Recipe.model_validate_json(state["recipe"]) != self.recipe:
            raise InputError("The checkpoint belongs to another recipe. Train it from the start.")
        vars(self.progress).update(state["progress"])
        self.network.load_state_dict(state["network"])
        self.loss.load_state_dict(state["loss"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best_weights = state["best_weights"]
        self.collapse_reported = state["collapse_reported"]

    def result(self, model_dir: Path | None, started: float, images: int) -> TrainResult:
        seconds = time.monotonic() - started
        return TrainResult(
            stopped=model_dir is None,
            steps=self.progress.step,
            best_step=self.progress.best_step,
            best_metrics=self.progress.best_metrics,
            untrained_metrics=self.progress.untrained_metrics,
            model_dir=model_dir,
            seconds=seconds,
            images_per_second=images / max(seconds, 1e-6),
        )
