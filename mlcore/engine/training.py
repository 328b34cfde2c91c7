"""The loop itself: it reads top to bottom, stops when asked, and goes on from a checkpoint exactly where it was."""

import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer

from mlcore.averaging import Averaged
from mlcore.checkpoint import read_checkpoint, write_checkpoint
from mlcore.config import Recipe
from mlcore.data import Source, training_batches
from mlcore.distributed import World, agree, gather, same_weights, sum_gradients
from mlcore.embed import Stopped
from mlcore.engine.state import CHECKPOINTS_KEPT, Progress, TrainResult, checkpoints, rows_digest
from mlcore.engine.validation import Reports, ValidationSet, entered, evaluated, judge
from mlcore.errors import InputError
from mlcore.evaluate import Report
from mlcore.events import CheckpointWritten, Message, OnEvent, ShouldStop, Started, StepDone, Validated
from mlcore.extractors import Network, build_extractor, parameter_groups
from mlcore.losses import LossOutput, MetricLoss, build_loss
from mlcore.manifest import photo_groups
from mlcore.model import Embedder, save_model
from mlcore.preprocess import Preprocessor
from mlcore.quick import has_fast_bf16
from mlcore.samplers import BatchPlan
from mlcore.schedule import learning_rate

COLLAPSE_SPREAD = 0.01  # 1 - length of the mean of a batch's embeddings; 0 when all are the same
PRECISIONS = {"none": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def usable_amp(recipe: Recipe, device: str) -> Literal["none", "bf16", "fp16"]:
    """What the recipe asks for; `none` for bf16 that the processor only imitates, at a fraction of float32's speed."""
    return "none" if recipe.amp == "bf16" and not has_fast_bf16(device) else recipe.amp


def label_categories(rows: pd.DataFrame, codes: np.ndarray[Any, Any], count: int) -> Tensor:
    """`(K,)` int64: the number of each label's category, -1 for none. `codes`: `(N,)`, the label of each row."""
    categories = torch.full((count,), -1)
    numbers = pd.factorize(rows["category"])[0]  # -1 where it is missing
    categories[torch.from_numpy(codes.astype(np.int64))] = torch.from_numpy(numbers.astype(np.int64))
    return categories


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
        cache_dir: Path,
        world: World,
        also: Mapping[str, ValidationSet] = MappingProxyType({}),
    ) -> None:
        self.recipe, self.source, self.out_dir, self.world = recipe, source, out_dir, world
        self.on_event, self.should_stop, self.device, self.cache_dir = on_event, should_stop, device, cache_dir
        torch.manual_seed(recipe.seed)  # the first weights
        self.amp = usable_amp(recipe, device)
        self.train_rows = manifest[manifest["split"] == "train"].reset_index(drop=True)
        self.set_names = tuple(also)
        # The recipe's own first.
        self.sets = [each.held_out() for each in (ValidationSet(manifest, source), *also.values())]
        self.set_digests = {name: rows_digest(each.manifest) for name, each in zip(also, self.sets[1:], strict=True)}
        codes, names = pd.factorize(self.train_rows["label"], sort=True)
        self.labels = torch.from_numpy(codes.astype(np.int64))
        self.photo_numbers = torch.from_numpy(photo_groups(self.train_rows).to_numpy(np.int64, copy=True))
        self.preprocess = Preprocessor(recipe.preprocess)
        self.network: Network = build_extractor(
            recipe.extractor, size=recipe.preprocess.size, preprocess=recipe.preprocess
        )
        self.loss: MetricLoss = build_loss(
            recipe.loss,
            labels=len(names),
            dimension=recipe.extractor.dimension,
            categories=label_categories(self.train_rows, codes, len(names)),
        )
        self.network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss.to(device)
        same_weights((self.network, self.loss), world)
        self.optimizer = self.build_optimizer()
        self.scaler = torch.amp.GradScaler(torch.device(device).type, enabled=recipe.amp == "fp16")
        self.average = Averaged(self.network, recipe.optimizer.ema) if recipe.optimizer.ema else None
        self.forward = torch.compile(self.network) if recipe.compile else self.network
        self.progress = Progress()
        self.best_weights: dict[str, Tensor] = {}
        self.rows = rows_digest(manifest)
        self.written: list[Path] = []  # checkpoints of this training, the oldest first

    def build_optimizer(self) -> Optimizer:
        config = self.recipe.optimizer
        groups: list[dict[str, Any]] = [
            dict(group) for group in parameter_groups(self.network, self.loss, config, self.recipe.extractor)
        ]
        if config.kind == "sgd":
            return SGD(
                groups, config.lr, config.momentum, nesterov=config.momentum > 0, weight_decay=config.weight_decay
            )
        return AdamW(groups, config.lr, weight_decay=config.weight_decay)

    def run(self, resume_from: Path | None) -> TrainResult:
        recipe, progress = self.recipe, self.progress
        started = time.monotonic()
        if resume_from is not None:
            self.restore(read_checkpoint(resume_from))
            self.written = [path for path in checkpoints(self.out_dir) if path.name <= resume_from.name]
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        self.on_event(Started(recipe.steps, progress.step, self.device, parameters))
        plan = BatchPlan(
            self.train_rows["label"].tolist(),
            recipe.sampler,
            steps=recipe.steps,
            seed=recipe.seed,
            categories=self.train_rows["category"].tolist(),
            first_step=progress.step,
        )
        batch_rows = iter(plan)
        batches = training_batches(
            self.train_rows,
            plan,
            source=self.source,
            preprocess=self.preprocess,
            augment=recipe.augment,
            first_step=progress.step,
            seed=recipe.seed,
            device=self.device,
            workers=recipe.workers,
            rank=self.world.rank,
            world=self.world.size,
            cache_dir=self.cache_dir,
            on_message=self.warn,
        )
        images, first_step, last_log, since_log = 0, progress.step, time.monotonic(), 0
        while True:
            try:
                if agree(self.should_stop(), self.world, self.device):
                    raise Stopped
                if self.due(recipe.validate_every) and progress.validated_step < progress.step:
                    self.validate()
                    last_log, since_log = time.monotonic(), 0
            except Stopped:
                batches.close()
                self.write_checkpoint()
                return self.result(None, started, images)
            if progress.step > first_step and self.due(recipe.checkpoint_every):
                self.write_checkpoint()
            if progress.step == recipe.steps or progress.ended_early:
                break
            rows = torch.tensor(next(batch_rows))
            output = self.train_step(next(batches), rows)
            progress.step += 1
            images += len(rows)
            since_log += len(rows)
            if self.due(recipe.log_every):
                now = time.monotonic()
                rate = since_log / max(now - last_log, 1e-6)
                logs = output.logs
                self.watch(float(output.value.detach()), logs["spread"])
                lr = learning_rate(progress.step - 1, recipe.steps, recipe.optimizer, drops=progress.drops)
                self.on_event(StepDone(progress.step, recipe.steps, float(output.value.detach()), lr, rate, logs))
                last_log, since_log = now, 0
        batches.close()
        model_dir = self.out_dir / "model"
        self.network.load_state_dict(self.best_weights)
        if self.world.is_first:
            save_model(model_dir, self.network, recipe.extractor, recipe.preprocess)
        return self.result(model_dir, started, images)

    def due(self, every: int) -> bool:
        """Whether something done every so many steps, and at the end, is to be done now."""
        return self.progress.step % every == 0 or self.progress.step == self.recipe.steps

    def warn(self, text: str) -> None:
        self.on_event(Message(text, level="warning"))

    def train_step(self, images: Tensor, rows: Tensor) -> LossOutput:
        """One batch: `images` `(B, 3, S, S)` normalised, this process's shard; `rows`: where the whole batch lies."""
        step, config = self.progress.step, self.recipe.optimizer
        self.network.train()
        # Drawn anew from the step, not carried along: whatever else draws numbers, a resumed run draws the same.
        torch.manual_seed(self.recipe.seed * 1_000_003 + step)
        lr = learning_rate(step, self.recipe.steps, config, drops=self.progress.drops)
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["lr_share"]
        embeddings = gather(self.embed(images), len(rows), self.world)  # (B, 3, S, S) -> (B, D)
        output = self.loss(embeddings, self.labels[rows].to(self.device), self.photo_numbers[rows].to(self.device))
        if step % config.accumulate == 0:
            self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(output.value / config.accumulate).backward()
        if (step + 1) % config.accumulate == 0 or step + 1 == self.recipe.steps:
            self.update()
        spread = 1 - embeddings.detach().float().mean(0).norm()
        return LossOutput(output.value, {**output.figures, "spread": spread})

    def embed(self, images: Tensor) -> Tensor:
        """`(B, 3, S, S)` -> `(B, D)` in the recipe's precision, compiled if that works."""
        try:
            with torch.autocast(torch.device(self.device).type, PRECISIONS[self.amp], enabled=self.amp != "none"):
                embeddings: Tensor = self.forward(images)
        except Exception as error:
            if self.forward is self.network:
                raise
            self.warn(f"torch.compile does not work here ({type(error).__name__}); going on without it.")
            self.forward = self.network
            return self.embed(images)
        return embeddings

    def update(self) -> None:
        """One step of the optimizer, on the gradients of every process and of the batches that were accumulated."""
        sum_gradients(self.network.parameters(), self.world)
        if self.recipe.optimizer.clip_norm:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.learning(), self.recipe.optimizer.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average:
            self.average.update()

    def learning(self) -> list[torch.nn.Parameter]:
        """What the optimizer moves, in its order."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def is_accumulating(self) -> bool:
        """Whether gradients of batches wait for more to come."""
        return self.progress.step % self.recipe.optimizer.accumulate != 0

    def watch(self, loss: float, spread: float) -> None:
        """Ends a training whose loss is no number. Says, once, that all photos get the same embedding."""
        step = self.progress.step
        if not math.isfinite(loss):
            raise InputError(
                f"The loss became {loss} by step {step}. Lower the learning rate "
                f"(now {self.recipe.optimizer.lr:g}), or train without half precision."
            )
        if spread < COLLAPSE_SPREAD and not self.progress.collapse_reported:
            self.progress.collapse_reported = True
            self.warn(
                f"The model has collapsed at step {step}: all photos get nearly the same embedding "
                f"(spread {spread:.4f}). Lower the learning rate, or use the ArcFace loss."
            )

    def validate(self) -> None:
        """Evaluates every set; keeps the weights if they are the best so far, stops if none were for long."""
        progress = self.progress
        with self.average.in_place() if self.average else nullcontext():
            main, *others = [self.evaluated(each) for each in self.sets]
            reports = Reports(main, dict(zip(self.set_names, others, strict=True)))
            is_best = entered(reports, progress, self.recipe.best_metric)
            if is_best:
                self.best_weights = {
                    key: weight.detach().cpu().clone() for key, weight in self.network.state_dict().items()
                }
        progress.validated_step = progress.step
        self.on_event(Validated(progress.step, reports.main.overall, is_best, reports.figures()))
        if progress.step > 0:
            judge(progress, self.recipe, self.on_event, is_best=is_best)

    def evaluated(self, rows: ValidationSet) -> Report:
        return evaluated(
            Embedder(self.network, self.recipe.preprocess, self.device),
            rows,
            world=self.world,
            workers=self.recipe.workers,
            cache_dir=self.cache_dir,
            should_stop=self.should_stop,
            on_message=self.warn,
        )

    def write_checkpoint(self) -> None:
        """Writes the whole state; keeps the last few, and none of an earlier training in the same folder.

        A full disk costs this checkpoint, not the training.
        """
        if not self.world.is_first:
            return
        state: dict[str, Any] = {
            "recipe": self.recipe.model_dump_json(),
            "rows": self.rows,
            "progress": vars(self.progress).copy(),
            "network": self.network.state_dict(),
            "loss": self.loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.state() if self.average else None,
            "gradients": [parameter.grad for parameter in self.learning()] if self.is_accumulating() else [],
            "best_weights": self.best_weights,
            "sets": self.set_digests,
        }
        path = self.out_dir / f"checkpoint-{self.progress.step:07d}.pt"
        try:
            sha256 = write_checkpoint(path, state)
        except OSError as error:
            text = f"The checkpoint of step {self.progress.step} could not be written ({error}); the last one stays."
            self.on_event(Message(text, level="warning"))
            return
        self.on_event(CheckpointWritten(self.progress.step, str(path), sha256))
        self.written = [*(each for each in self.written if each != path), path][-CHECKPOINTS_KEPT:]
        for old in set(checkpoints(self.out_dir)) - set(self.written):  # only now: the event has published the new one
            old.unlink(missing_ok=True)

    def restore(self, state: dict[str, Any]) -> None:
        """Puts everything back as it was. Raises InputError for the checkpoint of another recipe or of other rows."""
        try:
            recipe = Recipe.model_validate_json(state.get("recipe", ""))
        except ValidationError:
            text = (
                "The checkpoint is of no training, or of one by another version. Remove it, and train from the start."
            )
            raise InputError(text) from None
        if recipe != self.recipe:
            raise InputError("The checkpoint belongs to another recipe. Train it from the start.")
        if state.get("rows", self.rows) != self.rows:  # older checkpoints do not tell
            raise InputError("The checkpoint was made with other rows. Give it its own table, or train from the start.")
        self.check_sets(state.get("sets"))
        vars(self.progress).update(state["progress"])
        self.network.load_state_dict(state["network"])
        self.loss.load_state_dict(state["loss"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.restore(state["average"])
        for parameter, gradient in zip(self.learning(), state["gradients"], strict=False):
            parameter.grad = None if gradient is None else gradient.to(parameter.device)
        self.best_weights = state["best_weights"]

    def check_sets(self, kept: Mapping[str, str] | None) -> None:
        """kept: the further sets of a checkpoint, by name with their digest; None: it is older, and does not tell.

        Raises InputError for others than ours: its best figure would be compared with figures of other photos.
        """
        if kept is not None and kept != self.set_digests:
            names = f"with further validation sets ({', '.join(kept)})" if kept else "without further validation sets"
            raise InputError(f"The checkpoint was made {names}. Go on with the same and their rows, or begin anew.")

    def result(self, model_dir: Path | None, started: float, images: int) -> TrainResult:
        seconds = time.monotonic() - started
        return TrainResult(
            stopped=model_dir is None,
            steps=self.progress.step,
            best_step=self.progress.best_step,
            best_metrics=self.progress.best_metrics,
            untrained_metrics=self.progress.untrained_metrics,
            best_sets=self.progress.best_sets,
            untrained_sets=self.progress.untrained_sets,
            model_dir=model_dir,
            seconds=seconds,
            images_per_second=images / max(seconds, 1e-6),
        )
