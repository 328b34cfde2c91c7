"""Recipes compared on labels held out of the train rows, so that no validation row has a say in a choice.

Figures are CMC@1 after the last step, in shares. They are the same on every run with the same number of threads
(OMP_NUM_THREADS), whatever else the machine does.
"""

import os
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mlcore.config import Recipe
from mlcore.data import Source
from mlcore.engine import TrainResult, fit
from mlcore.events import OnEvent

SHARE = 0.25  # of the train labels in a hold-out


def holdouts(train: pd.DataFrame, count: int = 2, *, by: str = "label") -> list[set[str]]:
    """`count` sets of train labels, or of whole categories, without one in common: each a quarter of all."""
    names = np.array(sorted(train[by].unique()))
    order = np.random.default_rng(0).permutation(len(names))
    size = max(round(SHARE * len(names)), 1)
    return [set(names[order[at * size : (at + 1) * size]]) for at in range(count)]


def hold_out(
    train: pd.DataFrame, names: set[str], *, by: str = "label", unfit: Collection[str] = frozenset()
) -> pd.DataFrame:
    """The train rows with those labels or categories as the validation split; held-out rows of `unfit` paths are left
    out."""
    held = train[by].isin(names)
    rows = train[~(held & train["path"].isin(unfit))].copy()
    held = rows[by].isin(names)
    rows["split"] = np.where(held, "validation", "train")
    rows["is_query"] = rows["is_gallery"] = held
    return rows.reset_index(drop=True)


def cpu_seconds() -> float:
    """Of this process and its finished children: a cost that other work on the machine hardly changes."""
    return sum(os.times()[:4])


def trained(
    recipe: Recipe, manifest: pd.DataFrame, source: Source, on_event: OnEvent = lambda event: None
) -> TrainResult:
    with tempfile.TemporaryDirectory() as folder:
        return fit(recipe, manifest, source=source, out_dir=Path(folder), on_event=on_event, device="cpu")


def last_only(recipe: Recipe) -> Recipe:
    """Validated only before and after: no variant gains by choosing among checkpoints."""
    return recipe.model_copy(update={"validate_every": recipe.steps, "checkpoint_every": recipe.steps})


def compare(variants: Mapping[str, Recipe], seeds: int, splits: Mapping[int, pd.DataFrame], source: Source) -> None:
    """Prints a row per variant: CMC@1 of each of `splits`, which are known by the numbers of their hold-outs, their
    mean, the spread over seeds, mAP@R, photos and CPU seconds."""
    queries = " and ".join(str(int(split["is_query"].sum())) for split in splits.values())
    print(f"{queries} held-out queries, {seeds} seeds, {torch.get_num_threads()} threads of torch\n")
    heads = "".join(f"  hold-out {number}" for number in splits)
    print(f"{'variant':<38}{heads}    mean  ± seeds  untrained   mAP@R  photos   CPU s")
    for name, variant in variants.items():
        started, recipe = cpu_seconds(), last_only(variant)
        results = [
            [trained(recipe.model_copy(update={"seed": seed}), split, source) for seed in range(seeds)]
            for split in splits.values()
        ]
        figures = np.array([[result.best_metrics["cmc@1"] for result in row] for row in results])  # (holdouts, seeds)
        untrained = np.mean([result.untrained_metrics["cmc@1"] for row in results for result in row])
        precision = np.mean([result.best_metrics["map@r"] for row in results for result in row])
        cells = "".join(f"{value:>12.3f}" for value in figures.mean(1))
        spread = figures.mean(0).std()
        photos = recipe.steps * recipe.sampler.batch_size
        cost = (cpu_seconds() - started) / figures.size
        print(
            f"{name:<38}{cells}{figures.mean():>8.3f}{spread:>9.3f}{untrained:>11.3f}{precision:>8.3f}{photos:>8,}{cost:>8.1f}",
            flush=True,
        )
