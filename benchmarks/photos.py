"""What the benchmarks of training and embedding share: real JPEG files, and figures taken in turns."""

import argparse
import os
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch

from mlcore import data
from mlcore.cli.data import load_data
from mlcore.config import Extractor, Preprocess, ResNet, ViT
from mlcore.data import Source

GROCERY = Path(__file__).resolve().parents[2] / "shared" / "data" / "grocery.zip"


@contextmanager
def unpacked(archive: Path) -> Iterator[tuple[pd.DataFrame, Source]]:
    """Manifest and source of a zip with a `df.csv` beside its images, unpacked to a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(archive) as file:
            file.extractall(folder)
        (table,) = Path(folder).rglob("df.csv")
        yield load_data(table, print)


@dataclass
class Taken:
    """Seconds by the clock, and of all cores together, that so many images took in each round."""

    images: int
    wall: list[float] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)

    def add(self, start: tuple[float, float]) -> None:
        wall, cores = now()
        self.wall.append(wall - start[0])
        self.cores.append(cores - start[1])


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def take_turns(cases: dict[str, Callable[[], object]], images: int, rounds: int) -> dict[str, Taken]:
    """Runs all cases in every round, so that what disturbs the machine disturbs them alike."""
    taken = {name: Taken(images) for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            start = now()
            case()
            taken[name].add(start)
    return taken


def print_table(taken: dict[str, Taken], bases: Sequence[str]) -> None:
    """Medians over the rounds; a ratio is the median of the ratios within each round, its base over the case."""
    width = max(map(len, taken)) + 2
    print(f"{'':{width}}  images/s  core ms/image" + "".join(f"  of {base:>20}" for base in bases))
    for name, case in taken.items():
        line = f"{name:{width}}{case.images / median(case.wall):10.0f}{1000 * median(case.cores) / case.images:15.3f}"
        for base in bases:
            by_clock = median(b / a for a, b in zip(case.wall, taken[base].wall, strict=True))
            by_cores = median(b / a for a, b in zip(case.cores, taken[base].cores, strict=True))
            line += f"{f'{by_clock:.2f} ({by_cores:.2f} by cores)':>25}"
        print(line)


NETWORKS: dict[str, Extractor] = {"resnet18": ResNet(), "vit_s_16": ViT(arch="vit_s_16")}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--network", choices=NETWORKS, default="resnet18")
    parser.add_argument("--size", type=int, default=96, help="pixels of a side")
    parser.add_argument("--workers", type=int, default=0, help="threads that decode")
    parser.add_argument("--ahead", type=int, help="batches prepared ahead, instead of what is chosen for the device")


def network_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The parts of a recipe that were asked for."""
    return {"extractor": NETWORKS[arguments.network], "preprocess": Preprocess(size=arguments.size)}


def arrange(arguments: argparse.Namespace) -> None:
    if arguments.ahead is not None:
        data.batches_ahead = lambda device: int(arguments.ahead)


def print_machine() -> None:
    load = os.getloadavg()[0]
    cores = len(os.sched_getaffinity(0))
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    print(f"{cores} cores, {torch.get_num_threads()} threads, load {load:.1f}, torch {torch.__version__}, {device}")
