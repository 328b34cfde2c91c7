"""The same training in Lightning's loop (the extra `lightning`), for those who want its strategies and callbacks.

>>> import lightning
>>> module = MetricLearning(recipe, manifest, source)
>>> lightning.Trainer(**trainer_settings(recipe, "cpu")).fit(module)
>>> config = module.save(folder)  # the best weights, for `python -m mlcore evaluate FOLDER` and the site

The parts, and so the losses step by step, are those of `mlcore.engine.Training`. An epoch is what lies between two
validations. Checkpoints are Lightning's, to be resumed on as many processes; `compile` is left to the caller.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from mlcore import compat  # before Lightning, which imports torchvision
from mlcore.config import ModelConfig, Recipe
from mlcore.data import Photos, Source, open_cache, training_batches
from mlcore.distributed import World, gather
from mlcore.engine.fit import pick_device
from mlcore.engine.training import Training, usable_amp
from mlcore.engine.validation import Reports, ValidationSet, entered, judge, training_faults, training_problems
from mlcore.errors import InputError
from mlcore.evaluate import Report, evaluate
from mlcore.events import Event, Message
from mlcore.model import Embedder, save_model
from mlcore.samplers import BatchPlan, shard
from mlcore.schedule import learning_rate
from mlcore.table import Severity

try:
    from lightning.pytorch import LightningModule
    from lightning.pytorch.utilities import rank_zero_warn
except ImportError as error:
    raise ImportError(f"This needs the extra `lightning`: pip install 'kindred[lightning]'. ({error})") from None

__all__ = ["MetricLearning", "compat", "trainer_settings"]

PRECISIONS = {"none": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
VALIDATION_BATCH = 64
Batches = Iterator[tuple[Tensor, Tensor]]


def trainer_settings(recipe: Recipe, device: str | None = None) -> dict[str, Any]:
    """What `lightning.Trainer` has to be told of a recipe. `device`: as for `fit`; `cuda` alone is all of them."""
    device = pick_device(device)
    kind, number = torch.device(device).type, torch.device(device).index
    return {
        "accelerator": kind,
        **({} if number is None or kind == "cpu" else {"devices": [number]}),
        "max_epochs": math.ceil(recipe.steps / recipe.validate_every),
        "precision": PRECISIONS[usable_amp(recipe, device)],
        "accumulate_grad_batches": recipe.optimizer.accumulate,
        "gradient_clip_val": recipe.optimizer.clip_norm,
        "log_every_n_steps": recipe.log_every,
        "num_sanity_val_steps": 0,
    }


class Loader:
    """Made anew for each epoch."""

    def __init__(self, make: Callable[[], Batches]) -> None:
        self.make = make

    def __iter__(self) -> Batches:
        return self.make()


class MetricLearning(LightningModule):
    """Trains a recipe on a manifest's train rows, and validates on the embeddings of all its validation rows.

    also, shared_labels: as for `fit`; each further set has a loader of its own, after that of the validation rows.
    Raises InputError for rows or a recipe that cannot train; every fault is listed.
    """

    def __init__(
        self,
        recipe: Recipe,
        manifest: pd.DataFrame,
        source: Source,
        *,
        cache_dir: Path | None = None,
        also: Mapping[str, ValidationSet] = MappingProxyType({}),
        shared_labels: Severity = "error",
    ) -> None:
        super().__init__()
        faults = training_faults(training_problems(recipe, manifest, also, shared_labels), recipe, also)
        if recipe.validate_every % recipe.optimizer.accumulate:
            faults.append("An epoch ends what Lightning accumulates. Make validate_every a multiple of accumulate.")
        if faults:
            raise InputError("This training cannot start.", faults)
        self.recipe, self.source, self.cache_dir = recipe, source, cache_dir
        self.parts = Training(recipe, manifest, source, Path(), tell, lambda: False, "cpu", Path(), World(), also)
        self.network, self.loss = self.parts.network, self.parts.loss
        self.averaged = ExitStack()  # around a validation: the averaged weights, where the recipe wants any

    def forward(self, images: Tensor) -> Tensor:
        """`(B, 3, S, S)` normalised -> `(B, D)` of unit length."""
        return self.network(images)  # type: ignore[no-any-return]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.parts.build_optimizer()

    def on_fit_start(self) -> None:
        if average := self.parts.average:
            average.weights = {name: weight.to(self.device) for name, weight in average.weights.items()}

    @property
    def world(self) -> World:
        return World(self.global_rank, self.trainer.world_size, self.local_rank)

    def train_dataloader(self) -> Loader:
        return Loader(self.training_batches)

    def training_batches(self) -> Batches:
        """Up to the next validation: this process's images, and the rows of the whole batch."""
        recipe, rows, first = self.recipe, self.parts.train_rows, self.parts.progress.step
        last = min(recipe.steps, (first // recipe.validate_every + 1) * recipe.validate_every)
        labels, categories = rows["label"].tolist(), rows["category"].tolist()
        plan = BatchPlan(labels, recipe.sampler, last, recipe.seed, categories, first)
        batches = training_batches(
            rows,
            plan,
            source=self.source,
            preprocess=self.parts.preprocess,
            augment=recipe.augment,
            first_step=first,
            seed=recipe.seed,
            device=str(self.device),
            workers=recipe.workers,
            rank=self.world.rank,
            world=self.world.size,
            cache_dir=self.cache_dir,
            on_message=rank_zero_warn,
        )
        with closing(batches):
            yield from zip(batches, map(torch.tensor, plan), strict=True)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, rows = batch[0], batch[1].cpu()
        parts, step = self.parts, self.parts.progress.step
        torch.manual_seed(self.recipe.seed * 1_000_003 + step)  # as `fit` draws
        lr = learning_rate(step, self.recipe.steps, self.recipe.optimizer, drops=parts.progress.drops)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = lr * group["lr_share"]
        part, world = self(images), self.world
        if world.size > 1:  # over processes Lightning takes the mean of what is a sum over their shards
            part.register_hook(lambda gradient: gradient * world.size)
        embeddings = gather(part, len(rows), world)
        labels, photos = (numbers[rows].to(self.device) for numbers in (parts.labels, parts.photo_numbers))
        output = self.loss(embeddings, labels, photos)
        parts.progress.step += 1
        if parts.due(self.recipe.log_every):
            spread = 1 - embeddings.detach().float().mean(0).norm()
            parts.watch(float(output.value.detach()), float(spread))
            figures = {"lr": lr, "spread": spread, **output.figures}
            self.log_dict({f"train/{name}": value for name, value in figures.items()})
        self.log("train/loss", output.value, prog_bar=True)
        return output.value  # type: ignore[no-any-return]

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if self.parts.average:
            self.parts.average.update()

    def val_dataloader(self) -> list[Loader]:
        return [Loader(partial(self.validation_batches, each)) for each in self.parts.sets]

    def validation_batches(self, validation_set: ValidationSet) -> Batches:
        """This process's part: photos `(B, 3, S, S)` uint8 and their rows. Others may give them by any sampler."""
        rows, preprocess = validation_set.manifest, self.parts.preprocess
        mine = shard(list(range(len(rows))), self.world.rank, self.world.size)
        plan = [mine[at : at + VALIDATION_BATCH] for at in range(0, len(mine), VALIDATION_BATCH)]
        cache = open_cache(self.cache_dir, preprocess, rank_zero_warn)
        source, workers = validation_set.source, self.recipe.workers
        with closing(Photos(rows, source, preprocess, workers=workers, cache=cache)) as photos:
            for numbers, squares in zip(plan, photos.batches(plan, str(self.device)), strict=True):
                yield squares.permute(0, 3, 1, 2), torch.tensor(numbers)

    def on_validation_epoch_start(self) -> None:
        if self.parts.average:
            self.averaged.enter_context(self.parts.average.in_place())
        counts, dimension = [len(each.manifest) for each in self.parts.sets], self.recipe.extractor.dimension
        self.embeddings = [torch.zeros(rows, dimension, device=self.device) for rows in counts]
        # How many processes embedded a row.
        self.times = [torch.zeros(rows, 1, device=self.device) for rows in counts]

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int, dataloader_idx: int = 0) -> None:
        photos, rows = batch
        embedder = Embedder(self.network, self.recipe.preprocess, str(self.device))
        with torch.autocast(self.device.type, enabled=False):
            self.embeddings[dataloader_idx][rows] = torch.from_numpy(embedder.embed_batch(photos)).to(self.device)
        self.times[dataloader_idx][rows] = 1

    def on_validation_epoch_end(self) -> None:
        parts, progress = self.parts, self.parts.progress
        main, *others = map(self.report, parts.sets, self.embeddings, self.times)
        reports = Reports(main, dict(zip(parts.set_names, others, strict=True)))
        self.log_dict({f"overall/{name}": value for name, value in main.overall.items()})
        for each, figures in reports.figures().items():
            self.log_dict({f"sets/{each}/{name}": value for name, value in figures.items()})
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            if is_best := entered(reports, progress, self.recipe.best_metric):
                weights = self.network.state_dict()
                parts.best_weights = {name: weight.detach().cpu().clone() for name, weight in weights.items()}
            judge(progress, self.recipe, parts.on_event, is_best=is_best)
            self.trainer.should_stop = self.trainer.should_stop or progress.ended_early
        self.averaged.close()

    def report(self, validation_set: ValidationSet, embeddings: Tensor, times: Tensor) -> Report:
        """embeddings: `(N, D)`, of this process's rows; times: `(N, 1)`, 1 for each of these."""
        embeddings, times = (self.trainer.strategy.reduce(each, reduce_op="sum").cpu() for each in (embeddings, times))
        seen = times[:, 0] > 0  # each row once, whatever the sampler repeats to fill up
        rows = validation_set.manifest[seen.numpy()].reset_index(drop=True)
        return evaluate((embeddings[seen] / times[seen]).numpy(), rows, device=str(self.device))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        average = self.parts.average.state() if self.parts.average else None
        progress = vars(self.parts.progress).copy()
        best, sets = self.parts.best_weights, self.parts.set_digests
        checkpoint["kindred"] = {"progress": progress, "best": best, "average": average, "sets": sets}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.parts.check_sets(checkpoint["kindred"].get("sets"))
        vars(self.parts.progress).update(checkpoint["kindred"]["progress"])
        self.parts.best_weights = checkpoint["kindred"]["best"]
        if self.parts.average:
            self.parts.average.restore(checkpoint["kindred"]["average"])

    def save(self, folder: Path) -> ModelConfig:
        """Writes the weights that validated best, as `fit` does; the network has them from now on."""
        if self.parts.best_weights:
            self.network.load_state_dict(self.parts.best_weights)
        return save_model(folder, self.network, self.recipe.extractor, self.recipe.preprocess)


def tell(event: Event) -> None:
    if isinstance(event, Message):
        rank_zero_warn(event.text)
