"""How good the presets are on real photos, and which of their choices matter.

    python benchmarks/quality.py grocery                        # variants, on labels held out of the train rows
    python benchmarks/quality.py omniglot --final --only quick  # presets as they are, on the validation rows

grocery: the split of its table. omniglot: three alphabets train, two validate; held out is an alphabet at a time.
`--peer-python` names an interpreter with Open Metric Learning, whose own pipeline then trains before each seed of
`--final` (benchmarks/quality_peer.py): the clock's figures are to be read beside it.
"""

import argparse
import json
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch
from holdouts import compare, hold_out, holdouts, last_only, trained

from mlcore.cli.data import load_data
from mlcore.config import PRESETS, Recipe
from mlcore.data import Source

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
ARCHIVES = {"grocery": SHARED / "grocery.zip", "omniglot": SHARED / "omniglot_small1.zip"}
HELD_BY = {"grocery": "label", "omniglot": "category"}
VALIDATED_ALPHABETS = ("Korean", "Latin")
FIGURES = ("cmc@1", "cmc@5", "map@r")


def changed(recipe: Recipe, changes: dict[str, Any]) -> Recipe:
    """The recipe with dotted keys set, checked anew."""
    tree = recipe.model_dump()
    for key, value in changes.items():
        *path, last = key.split(".")
        place = tree
        for name in path:
            place = place[name]
        place[last] = value
    return Recipe.model_validate(tree)


BASE = PRESETS["quick"]
TWICE = {"steps": 2 * BASE.steps}
PLAIN = {"extractor.statistics": False}
ARCFACE = {"loss": {"kind": "arcface"}}
CHANGES: dict[str, dict[str, Any]] = {
    "quick": {},
    "four times the steps": {"steps": 4 * BASE.steps},
    "no statistics": PLAIN,
    "ArcFace": ARCFACE,
    "no flip": {"augment.flip": False},
    "crop 0.6": {"augment.crop_scale_min": 0.6},
    # The others without statistics, which hide what the network itself learns.
    "plain, no crop": PLAIN | {"augment.crop_scale_min": 1},
    "plain, crop 0.6": PLAIN | {"augment.crop_scale_min": 0.6},
    "plain, colour 0.2": PLAIN | {"augment.colour": 0.2},
    "plain, centres' rate x 1": PLAIN | {"optimizer.loss_lr": 1},
    "plain, centres' rate x 100": PLAIN | {"optimizer.loss_lr": 100},
    "plain, 8 labels x 4, twice the steps": PLAIN | TWICE | {"sampler.labels": 8},
    "plain, 64 px, twice the steps": PLAIN | TWICE | {"preprocess.size": 64},
    "plain, rate 3e-3": PLAIN | {"optimizer.lr": 3e-3},
    "plain, averaged weights": PLAIN | {"optimizer.ema": 0.98},
    "plain, GeM": PLAIN | {"extractor.pool": "gem"},
    "plain, ArcFace": PLAIN | ARCFACE,
    "plain, ArcFace, margin 0.1": PLAIN | ARCFACE | {"loss.margin": 0.1},
    "plain, SupCon": PLAIN | {"loss": {"kind": "sup_con"}},
    "plain, triplet, all": PLAIN | {"loss": {"kind": "triplet", "miner": {"kind": "all"}}},
}


@contextmanager
def opened(name: str) -> Iterator[tuple[pd.DataFrame, Source, Path]]:
    """Manifest, source and the folder of the table `df.csv`, unpacked to a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(ARCHIVES[name]) as file:
            file.extractall(folder)
        if name == "omniglot":
            omniglot_table(Path(folder)).to_csv(Path(folder) / "df.csv", index=False)
        (table,) = Path(folder).rglob("df.csv")
        yield (*load_data(table, print), table.parent)


def omniglot_table(root: Path) -> pd.DataFrame:
    """Label: alphabet and character. Category: alphabet."""
    files = sorted(root.rglob("*.png"))
    alphabets = [file.parts[-3] for file in files]
    validated = [alphabet in VALIDATED_ALPHABETS for alphabet in alphabets]
    return pd.DataFrame(
        {
            "label": ["/".join(file.parts[-3:-1]) for file in files],
            "path": [file.relative_to(root).as_posix() for file in files],
            "split": np.where(validated, "validation", "train"),
            "is_query": validated,
            "is_gallery": validated,
            "category": alphabets,
        }
    )


def final(names: Sequence[str], seeds: range, manifest: pd.DataFrame, source: Source, peer: list[str]) -> None:
    """Each preset on the validation rows, after its last step: no figure gains by choosing among checkpoints."""
    print(f"{torch.get_num_threads()} threads of torch\n")
    print(f"{'':<34}{'seed':>5}" + "".join(f"{figure:>9}" for figure in FIGURES) + f"{'photos':>9}{'seconds':>9}")
    for name in names:
        rows = []
        for seed in seeds:
            if peer:
                show("Open Metric Learning", seed, peer_figures(peer, seed))
            recipe = last_only(PRESETS[name]).model_copy(update={"seed": seed})
            start = perf_counter()
            result = trained(recipe, manifest, source)
            seconds = perf_counter() - start
            photos = recipe.steps * recipe.sampler.batch_size
            rows.append(show(name, seed, result.best_metrics | {"photos": photos, "seconds": seconds}))
        cells = zip(np.mean(rows, axis=0), np.std(rows, axis=0), strict=True)
        print(f"{name + ', mean ± spread':<39}" + "".join(f"  {mean:.3f} ± {spread:.3f}" for mean, spread in cells))


def peer_figures(command: list[str], seed: int) -> dict[str, float]:
    printed = subprocess.check_output(  # noqa: S603 - named by whoever runs this
        [*command, "--seed", str(seed)], text=True, stderr=subprocess.DEVNULL
    )
    figures: dict[str, float] = json.loads(printed.splitlines()[-1])
    return figures


def show(name: str, seed: int, figures: dict[str, float]) -> list[float]:
    values = [figures.get(figure, np.nan) for figure in FIGURES]
    cells = "".join(f"{value:>9.3f}" for value in values)
    print(f"{name:<34}{seed:>5}{cells}{figures['photos']:>9,}{figures['seconds']:>9.1f}", flush=True)
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=ARCHIVES)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0, help="with --final")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="variants, or presets with --final")
    parser.add_argument("--steps", type=int, help="of every variant, instead of its own")
    parser.add_argument("--holdouts", type=int, nargs="+", default=[1, 2], help="which of them")
    parser.add_argument("--final", action="store_true", help="measure presets on the validation rows instead")
    parser.add_argument("--peer-python")
    arguments = parser.parse_args()
    with opened(arguments.data) as (manifest, source, root):
        if arguments.final:
            script = Path(__file__).with_name("quality_peer.py")
            peer = [arguments.peer_python, str(script), str(root)] if arguments.peer_python else []
            seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
            final(arguments.only or ["quick", "standard"], seeds, manifest, source, peer)
            return
        train = manifest[manifest["split"] == "train"]
        by = HELD_BY[arguments.data]
        sets = holdouts(train, max(arguments.holdouts), by=by)
        splits = {number: hold_out(train, sets[number - 1], by=by) for number in arguments.holdouts}
        steps = {"steps": arguments.steps} if arguments.steps else {}
        variants = {name: changed(BASE, CHANGES[name] | steps) for name in arguments.only or CHANGES}
        compare(variants, arguments.seeds, splits, source)


if __name__ == "__main__":
    main()
