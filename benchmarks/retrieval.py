"""Retrieval evaluation beside its peers: one run, one table, ratios to the plain FAISS search.

    python benchmarks/retrieval.py [--samples 60502] [--device cuda] [--peer-python PATH]

Query = gallery, about as many samples a label as in Stanford Online Products, all in one space; drawn anew from a seed.

    kindred   `evaluate`: top 100, every figure of mlcore.retrieval.metrics at 1, 5, 10 and R, by 12 categories
    faiss     IndexFlatIP search for the top 100 alone: neighbours, no figure
    pml       pytorch-metric-learning's AccuracyCalculator, k = 100, without its clustering figures
    oml       Open Metric Learning's RetrievalResults of 100, CMC, precision and mAP at 1, 5, 10

Each runs in a process of its own, in turn, `--repeats` times; seconds are the median. Memory is the peak of the
process, and that less what it held once its libraries were imported. Peers that are not installed are left out;
`--peer-python` names an interpreter that has them.
"""
# ruff: noqa: PLC0415, S603 - what a peer imports is measured with it, in a process of its own

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

TOP = 100
KS = (1, 5, 10)
CATEGORIES = 12
PEERS = {"pml": "pytorch_metric_learning", "oml": "oml"}


def main() -> None:
    arguments = parse()
    if arguments.run:
        folder = Path(arguments.folder)
        print(json.dumps(RUNNERS[arguments.run](folder, arguments.device)))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_data(Path(folder), arguments)
        names = [name for name in arguments.only.split(",") if is_installed(name, arguments.peer_python)]
        results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for _ in range(arguments.repeats):
            for name in names:
                results[name].append(run_apart(name, Path(folder), arguments))
    show(results, arguments)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=60_502)
    parser.add_argument("--labels", type=int, default=11_316)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--noise", type=float, default=0.1, help="of each number of an embedding, about its label's")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", default="cpu", help="of kindred")
    parser.add_argument("--only", default="faiss,kindred,pml,oml")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--run", choices=RUNNERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


def make_data(folder: Path, arguments: argparse.Namespace) -> None:
    """Unit vectors about a centre per label, and centres about one per category."""
    rng = np.random.default_rng(0)
    shape = arguments.labels, arguments.dimension
    categories = rng.integers(0, CATEGORIES, arguments.labels)
    centres = rng.standard_normal(shape, dtype=np.float32)
    centres += 0.5 * rng.standard_normal((CATEGORIES, shape[1]), dtype=np.float32)[categories]
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    labels = np.sort(rng.integers(0, arguments.labels, arguments.samples))
    vectors = centres[labels]
    vectors += arguments.noise * rng.standard_normal(vectors.shape, dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for name, values in {"vectors": vectors, "labels": labels, "categories": categories[labels]}.items():
        np.save(folder / f"{name}.npy", values)


def is_installed(name: str, python: str) -> bool:
    if name not in PEERS:
        return True
    look = f"import importlib.util as u, sys; sys.exit(u.find_spec({PEERS[name]!r}) is None)"
    found = subprocess.run([python, "-c", look], check=False).returncode == 0
    if not found:
        print(f"{name}: {PEERS[name]} is not installed, left out")
    return found


def run_apart(name: str, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    python = arguments.peer_python if name in PEERS else sys.executable
    command = [python, __file__, "--run", name, "--folder", str(folder), "--device", arguments.device]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(arguments.threads),
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


class Measure:
    """Seconds, seconds of processor time and peak memory of what is done inside; made once libraries are imported."""

    def __init__(self) -> None:
        self.imported = peak_mb()

    def __enter__(self) -> "Measure":
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu

    def result(self, figures: dict[str, float]) -> dict[str, Any]:
        peak = peak_mb()
        return {
            "seconds": self.wall,
            "cpu_seconds": self.cpu,
            "peak_mb": peak,
            "own_mb": peak - self.imported,
            "figures": figures,
        }


def peak_mb() -> float:
    """The most this process ever held. (`ru_maxrss` would count what its parent held when it was started.)"""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def run_kindred(folder: Path, device: str) -> dict[str, Any]:
    import pandas as pd

    from mlcore.evaluate import evaluate

    measure = Measure()
    labels, categories = np.load(folder / "labels.npy"), np.load(folder / "categories.npy")
    manifest = pd.DataFrame(
        {
            "sample_id": np.arange(1, len(labels) + 1),
            "label": labels.astype(str),
            "category": categories.astype(str),
            "sha256": [f"{number:064x}" for number in range(len(labels))],
            "sequence": None,
            "is_query": True,
            "is_gallery": True,
            **{name: pd.array([None] * len(labels), dtype="Int64") for name in ("x_1", "y_1", "x_2", "y_2")},
        }
    )
    vectors = np.load(folder / "vectors.npy")
    with measure:
        report = evaluate(vectors, manifest, ks=KS, device=device)
    return measure.result(report.overall)


def run_faiss(folder: Path, _: str) -> dict[str, Any]:
    import faiss

    measure = Measure()
    vectors = np.load(folder / "vectors.npy")
    with measure:
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        index.search(vectors, TOP)
    return measure.result({})


def run_pml(folder: Path, _: str) -> dict[str, Any]:
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    measure = Measure()
    vectors, labels = (torch.from_numpy(np.load(folder / f"{name}.npy")) for name in ("vectors", "labels"))
    clustering = ("NMI", "AMI")
    with measure:
        calculator = AccuracyCalculator(exclude=clustering, k=TOP, device=torch.device("cpu"))
        found = calculator.get_accuracy(vectors, labels)
    names = {"precision_at_1": "cmc@1", "mean_average_precision_at_r": "map@r", "r_precision": "r_precision"}
    return measure.result({ours: found[theirs] for theirs, ours in names.items()})


def run_oml(folder: Path, _: str) -> dict[str, Any]:
    import torch

    from mlcore.compat import declare_missing_operators

    declare_missing_operators()  # before torchvision is imported
    from oml.interfaces.datasets import IQueryGalleryLabeledDataset
    from oml.metrics import calc_retrieval_metrics_rr
    from oml.retrieval import RetrievalResults

    class Samples(IQueryGalleryLabeledDataset):
        def __init__(self, labels: Any) -> None:
            self.labels, self.extra_data = labels, {}

        def __len__(self) -> int:
            return len(self.labels)

        def get_labels(self) -> Any:
            return self.labels

        def get_query_ids(self) -> Any:
            return torch.arange(len(self))

        get_gallery_ids = get_query_ids

    measure = Measure()
    vectors, labels = (torch.from_numpy(np.load(folder / f"{name}.npy")) for name in ("vectors", "labels"))
    with measure:
        found = RetrievalResults.from_embeddings(vectors, Samples(labels), n_items=TOP)
        tables = calc_retrieval_metrics_rr(found, cmc_top_k=KS, precision_top_k=KS, map_top_k=KS)
    ours = {"map": "map_hits"}  # it divides by the hits found
    figures = {f"{ours.get(name, name)}@{k}": float(value) for name, row in tables.items() for k, value in row.items()}
    return measure.result(figures)


RUNNERS = {"kindred": run_kindred, "faiss": run_faiss, "pml": run_pml, "oml": run_oml}


def show(results: dict[str, list[dict[str, Any]]], arguments: argparse.Namespace) -> None:
    print(
        f"{arguments.samples} x {arguments.dimension}, {arguments.labels} labels, {arguments.threads} threads, "
        f"kindred on {arguments.device}, median of {arguments.repeats}"
    )
    print(f"{'':8} {'seconds':>8} {'ratio':>6} {'cpu s':>7} {'ratio':>6} {'peak MB':>8} {'own MB':>7}  figures")
    keys = ("seconds", "cpu_seconds", "peak_mb", "own_mb")
    middle = {
        name: {key: statistics.median(run[key] for run in runs) for key in keys} for name, runs in results.items()
    }
    base = middle.get("faiss")
    for name, row in middle.items():
        ratios = [f"{row[key] / base[key]:6.2f}" if base else "" for key in ("seconds", "cpu_seconds")]
        shown = ("cmc@1", "precision@5", "map@5", "map_hits@5", "map@r", "r_precision")
        figures = results[name][-1]["figures"]
        text = ", ".join(f"{key} {figures[key]:.4f}" for key in shown if key in figures)
        print(
            f"{name:8} {row['seconds']:8.1f} {ratios[0]:>6} {row['cpu_seconds']:7.1f} {ratios[1]:>6} "
            f"{row['peak_mb']:8.0f} {row['own_mb']:7.0f}  {text}"
        )


if __name__ == "__main__":
    main()
