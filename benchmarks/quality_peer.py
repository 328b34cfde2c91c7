"""Open Metric Learning 4.0 on a folder with a `df.csv`: its datasets, sampler, augmentation, loss and metrics.

    PYTHONPATH=. PEER/bin/python benchmarks/quality_peer.py FOLDER [--seed 0] [--steps 60]

ResNet-18 from scratch, 96 px, batches of 16 labels x 4, ArcFace (m 0.3, s 30), AdamW, one cycle to 1e-3, float32, two
loader processes. Prints one line of JSON: CMC@1, CMC@5, photos seen, seconds from the first batch to the last
figure.
"""

import argparse
import json
from pathlib import Path
from time import perf_counter

import pandas as pd
import torch
from torch.nn.functional import normalize
from torch.utils.data import DataLoader

from mlcore.compat import declare_missing_operators

declare_missing_operators()  # before torchvision is imported

from oml.datasets import ImageLabeledDataset, ImageQueryGalleryLabeledDataset  # noqa: E402
from oml.losses.arcface import ArcFaceLoss  # noqa: E402
from oml.metrics import calc_retrieval_metrics_rr  # noqa: E402
from oml.models import ResnetExtractor  # noqa: E402
from oml.retrieval import RetrievalResults  # noqa: E402
from oml.samplers.balance import BalanceSampler  # noqa: E402
from oml.transforms.images.torchvision import get_augs_torch, get_normalisation_resize_torch  # noqa: E402

SIZE = 96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    table = pd.read_csv(arguments.folder / "df.csv")
    table = table.sort_values("split", kind="stable")  # train first: its labels are then 0, 1, ...
    table["label"] = table["label"].factorize()[0]
    table["path"] = [str(arguments.folder / path) for path in table["path"]]
    train = ImageLabeledDataset(table[table["split"] == "train"].reset_index(drop=True), transform=get_augs_torch(SIZE))
    held = table[table["split"] == "validation"].reset_index(drop=True)
    held[["is_query", "is_gallery"]] = True
    validation = ImageQueryGalleryLabeledDataset(held, transform=get_normalisation_resize_torch(SIZE))
    start = perf_counter()
    network = trained(train, arguments.steps)
    vectors = embedded(network, validation)
    found = RetrievalResults.from_embeddings(vectors, validation, n_items=100)
    tables = calc_retrieval_metrics_rr(found, cmc_top_k=(1, 5))
    figures = {f"cmc@{k}": float(tables["cmc"][k]) for k in (1, 5)}
    photos = arguments.steps * 64
    print(json.dumps(figures | {"photos": photos, "seconds": perf_counter() - start}))


def trained(dataset: ImageLabeledDataset, steps: int) -> ResnetExtractor:
    network = ResnetExtractor(weights=None, arch="resnet18", gem_p=None, remove_fc=True, normalise_features=False)
    loss = ArcFaceLoss(network.feat_dim, len(set(dataset.get_labels())), m=0.3, s=30)
    optimizer = torch.optim.AdamW([*network.parameters(), *loss.parameters()], lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=steps)
    loader = DataLoader(
        dataset, batch_sampler=BalanceSampler(dataset.get_labels(), n_labels=16, n_instances=4), num_workers=2
    )
    network.train()
    step = 0
    while step < steps:
        for batch in loader:
            optimizer.zero_grad()
            loss(network(batch["input_tensors"]), batch["labels"]).backward()
            optimizer.step()
            schedule.step()
            step += 1
            if step == steps:
                break
    return network


@torch.inference_mode()
def embedded(network: ResnetExtractor, dataset: ImageQueryGalleryLabeledDataset) -> torch.Tensor:
    network.eval()
    batches = DataLoader(dataset, batch_size=64, num_workers=2)
    return torch.cat([normalize(network(batch["input_tensors"])) for batch in batches])


if __name__ == "__main__":
    main()
