"""Which recipe the demo trains by: variants of about the same cost, compared on labels held out of its train rows.

    PYTHONPATH=platform:. python benchmarks/demo_preset.py            # the comparison: no validation row takes part
    PYTHONPATH=platform:. python benchmarks/demo_preset.py --final    # the preset as it is, on the validation rows

Draws the dataset into --folder unless it is there. Each variant trains once per hold-out and seed; a hold-out is a
quarter of the train labels, the two have no label in common. Figures are CMC@1 after the last step, in shares. They are
the same on every run with the same number of threads (OMP_NUM_THREADS), whatever else the machine does.
"""

import argparse
import os
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from kindred.demo import catalogue
from mlcore.cli.data import load_data
from mlcore.config import (
    PRESETS,
    AllMiner,
    ArcFace,
    Augment,
    BalancedSampler,
    HardMiner,
    Loss,
    Optimizer,
    Preprocess,
    Recipe,
    Triplet,
)
from mlcore.data import Source
from mlcore.engine import TrainResult, fit
from mlcore.events import Event, OnEvent, Validated

HOLDOUTS = 2
SHARE = 0.25  # of the train labels in a hold-out
ALL, HARD = Triplet(miner=AllMiner()), Triplet(miner=HardMiner())


def variant(
    loss: Loss, *, crop: float = 0.85, lr: float = 1e-3, steps: int = 45, labels: int = 16, size: int = 64
) -> Recipe:
    """Steps, labels a batch and photo size trade for each other, so that all variants cost about the same."""
    return Recipe(
        steps=steps,
        validate_every=steps,  # only before and after: no variant gains by choosing among checkpoints
        checkpoint_every=steps,
        preprocess=Preprocess(size=size),
        augment=Augment(crop_scale_min=crop),
        sampler=BalancedSampler(labels=labels, instances=4),
        loss=loss,
        optimizer=Optimizer(lr=lr),
    )


VARIANTS: dict[str, Recipe] = {
    "triplet all": variant(ALL),
    "triplet all, crop 0.6": variant(ALL, crop=0.6),
    "triplet all, no crop": variant(ALL, crop=1),
    "triplet all, lr 3e-4": variant(ALL, lr=3e-4),
    "triplet all, lr 3e-3": variant(ALL, lr=3e-3),
    "triplet all, 8 labels x 90 steps": variant(ALL, labels=8, steps=90),
    "triplet hard": variant(HARD),
    "arcface": variant(ArcFace()),
    "arcface, crop 0.6": variant(ArcFace(), crop=0.6),
}


def demo_data(folder: Path) -> tuple[pd.DataFrame, Source]:
    """Manifest and source of the demo dataset, drawn into `folder` unless it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"pottery-{catalogue.VERSION}.zip"
    if not archive.exists():
        catalogue.write_zip(archive)
    photos = folder / archive.stem
    if not photos.exists():
        with zipfile.ZipFile(archive) as file:
            file.extractall(photos)
    return load_data(photos / "table.csv", lambda text: None)


def holdouts(train: pd.DataFrame) -> list[set[str]]:
    """`HOLDOUTS` sets of train labels, apart from each other."""
    labels = np.array(sorted(train["label"].unique()))
    order = np.random.default_rng(0).permutation(len(labels))
    size = round(SHARE * len(labels))
    return [set(labels[order[at * size : (at + 1) * size]]) for at in range(HOLDOUTS)]


def hold_out(train: pd.DataFrame, labels: set[str]) -> pd.DataFrame:
    """The train rows with those labels as the validation split.

    Photos that two labels share stay on the training side, and second copies of a photo are left out: a held-out
    photo that trains too, or that finds its own copy, would flatter every variant.
    """
    shots, _, _ = catalogue.plan()
    unfit = {shot.path for shot in shots if shot.copy_of or len(shot.objects) > 1}
    held = train["label"].isin(labels)
    rows = train[~(held & train["path"].isin(unfit))].copy()
    held = rows["label"].isin(labels)
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


def compare(names: Sequence[str], seeds: int, manifest: pd.DataFrame, source: Source) -> None:
    """Prints a row per variant: CMC@1 of each hold-out, their mean, the spread over seeds, photos and CPU seconds."""
    train = manifest[manifest["split"] == "train"]
    splits = [hold_out(train, labels) for labels in holdouts(train)]
    queries = " and ".join(str(int(split["is_query"].sum())) for split in splits)
    print(f"{queries} held-out queries, {seeds} seeds, {torch.get_num_threads()} threads of torch\n")
    heads = "".join(f"  hold-out {number + 1}" for number in range(HOLDOUTS))
    print(f"{'variant':<34}{heads}    mean  ± seeds  untrained  photos   CPU s")
    for name in names:
        started, recipe = cpu_seconds(), VARIANTS[name]
        results = [
            [trained(recipe.model_copy(update={"seed": seed}), split, source) for seed in range(seeds)]
            for split in splits
        ]
        figures = np.array([[result.best_metrics["cmc@1"] for result in row] for row in results])  # (holdouts, seeds)
        untrained = np.mean([result.untrained_metrics["cmc@1"] for row in results for result in row])
        cells = "".join(f"{value:>12.3f}" for value in figures.mean(1))
        spread = figures.mean(0).std()
        photos = recipe.steps * recipe.sampler.labels * 4 if isinstance(recipe.sampler, BalancedSampler) else 0
        cost = (cpu_seconds() - started) / figures.size
        print(
            f"{name:<34}{cells}{figures.mean():>8.3f}{spread:>9.3f}{untrained:>11.3f}{photos:>8,}{cost:>8.1f}",
            flush=True,
        )


def final(seeds: int, manifest: pd.DataFrame, source: Source) -> None:
    """Trains PRESETS["demo"] as it is, but for the seed, and prints CMC@1 and mAP@R on the validation rows."""

    def show(event: Event) -> None:
        if isinstance(event, Validated):
            print(f"{event.step:>6}{event.metrics['cmc@1']:>8.3f}{event.metrics['map@r']:>8.3f}", flush=True)

    print(f"{torch.get_num_threads()} threads of torch")
    for seed in range(seeds):
        print(f"\nseed {seed}\n{'step':>6}{'CMC@1':>8}{'mAP@R':>8}")
        trained(PRESETS["demo"].model_copy(update={"seed": seed}), manifest, source, show)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares recipes for the demo on labels held out of its train rows.")
    parser.add_argument("--folder", type=Path, default=Path("var/benchmarks"), help="where the dataset is drawn")
    parser.add_argument(
        "--seeds", type=int, default=2, help="how many seeds each recipe is trained with; the preset has seed 0"
    )
    parser.add_argument("--only", nargs="+", default=list(VARIANTS), choices=VARIANTS, metavar="VARIANT")
    parser.add_argument("--final", action="store_true", help="measure PRESETS['demo'] on the validation rows instead")
    arguments = parser.parse_args()
    manifest, source = demo_data(arguments.folder)
    if arguments.final:
        final(arguments.seeds, manifest, source)
    else:
        compare(arguments.only, arguments.seeds, manifest, source)


if __name__ == "__main__":
    main()
