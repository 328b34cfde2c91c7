"""Embedding from JPEG files against the same network on ready tensors: `python benchmarks/embedding.py`.

ResNet-18, 96 px, 64 a batch, after a short training (an untrained network's vectors are too alike for bfloat16). Cold:
every photo is decoded, and kept. Warm: none is. Ratios from one run, the cases in turns. For a GPU
`--network vit_s_16 --size 224`.
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from photos import GROCERY, add_options, arrange, network_of, print_machine, print_table, take_turns, unpacked
from torch import Tensor

from mlcore.config import PRESETS
from mlcore.data import Source
from mlcore.embed import embed_manifest
from mlcore.engine import fit, pick_device
from mlcore.model import Embedder, load_model
from mlcore.quick import quick_embed


def trained(manifest: pd.DataFrame, source: Source, folder: Path, steps: int, network: dict[str, Any]) -> Path:
    changes = {"steps": steps, "validate_every": steps, "checkpoint_every": steps, **network}
    recipe = PRESETS["quick"].model_copy(update=changes)
    result = fit(recipe, manifest, source=source, out_dir=folder)
    assert result.model_dir is not None
    return result.model_dir


@torch.inference_mode()
def forward(embedder: Embedder, batches: list[Tensor], bf16: bool) -> None:
    """The network alone, as it is, on tensors that are normalised already."""
    with torch.autocast(torch.device(embedder.device).type, torch.bfloat16, enabled=bf16):
        for batch in batches:
            embedder.network(batch).float().cpu()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=GROCERY, help="a zip with a df.csv beside its images")
    parser.add_argument("--model", type=Path, help="a model's folder; by default one is trained")
    parser.add_argument("--steps", type=int, default=30, help="of that training")
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    add_options(parser)
    arguments = parser.parse_args()
    arrange(arguments)
    print_machine()
    with unpacked(arguments.photos) as (manifest, source), tempfile.TemporaryDirectory() as work:
        folder = arguments.model or trained(
            manifest, source, Path(work) / "training", arguments.steps, network_of(arguments)
        )
        embedder = load_model(folder, pick_device(None))
        embedder.network.eval()
        rows = manifest.sample(arguments.images, random_state=0).reset_index(drop=True)
        photos = torch.stack([embedder.preprocess.read(source(key)) for key in rows["image_key"][:64]])
        ready = embedder.preprocess.normalise(photos.to(embedder.device))
        batches = [ready] * (len(rows) // 64)
        quick = quick_embed(embedder, photos)
        cold, warm = Path(work) / "cold", Path(work) / "warm"

        def embed(cache_dir: Path | None) -> None:
            embed_manifest(embedder, rows, source, workers=arguments.workers, cache_dir=cache_dir)

        def embed_cold() -> None:
            shutil.rmtree(cold, ignore_errors=True)
            embed(cold)

        embed(warm)
        cases = {
            "tensors, bf16": lambda: forward(embedder, batches, bf16=True),
            "tensors, float32": lambda: forward(embedder, batches, bf16=False),
            "tensors, our network": lambda: [quick(photos) for _ in batches],
            "files, no cache": lambda: embed(None),
            "files, cold": embed_cold,
            "files, warm": lambda: embed(warm),
        }
        print_table(take_turns(cases, len(rows), arguments.rounds), ["tensors, bf16", "tensors, float32"])
        ours, exact = quick(photos), embedder.embed_batch(photos)
        print(f"least cosine of our network's vectors to float32: {np.einsum('nd,nd->n', ours, exact).min():.6f}")


if __name__ == "__main__":
    main()
