"""Which recipe the demo trains by: variants of about the same cost, compared on labels held out of its train rows.

    PYTHONPATH=platform:. python benchmarks/demo_preset.py            # the comparison: no validation row takes part
    PYTHONPATH=platform:. python benchmarks/demo_preset.py --final    # the preset as it is, on the validation rows

Draws the dataset into --folder unless it is there. Each variant trains once per hold-out and seed, as
`benchmarks/holdouts.py` says.
"""

import argparse
import zipfile
from pathlib import Path

import pandas as pd
import torch
from holdouts import compare, hold_out, holdouts, trained

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
    ResNet,
    Triplet,
)
from mlcore.data import Source
from mlcore.events import Event, Validated

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
VARIANTS["triplet all, statistics"] = VARIANTS["triplet all"].model_copy(update={"extractor": ResNet(statistics=True)})
PROXIES = VARIANTS["triplet all"].model_copy(
    update={key: getattr(PRESETS["quick"], key) for key in ("extractor", "augment", "loss", "optimizer")}
)
VARIANTS["proxy anchor, statistics"] = PROXIES
VARIANTS["proxy anchor"] = PROXIES.model_copy(update={"extractor": ResNet()})


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


def unfit() -> set[str]:
    """Photos that two labels share, and second copies of a photo: a held-out photo that trains too, or that finds its
    own copy, would flatter every variant."""
    shots, _, _ = catalogue.plan()
    return {shot.path for shot in shots if shot.copy_of or len(shot.objects) > 1}


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
        train, paths = manifest[manifest["split"] == "train"], unfit()
        splits = {
            number: hold_out(train, labels, unfit=paths) for number, labels in enumerate(holdouts(train), start=1)
        }
        compare({name: VARIANTS[name] for name in arguments.only}, arguments.seeds, splits, source)


if __name__ == "__main__":
    main()
