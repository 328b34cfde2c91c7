"""Training from JPEG files against the same steps on a ready tensor: `python benchmarks/training.py`.

ResNet-18, 96 px, 64 a batch, ArcFace, AdamW, bf16 autocast, channels last; for a GPU `--network vit_s_16 --size 224`.
Cold: the first epoch, which decodes every photo. Warm: the epochs after it. A step on a ready tensor is taken after
every step of the training, beside which it stands in each ratio.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from photos import GROCERY, Taken, add_options, arrange, network_of, now, print_machine, print_table, unpacked
from torch import Tensor

from mlcore.config import AUGMENTS, Recipe, ShuffleSampler
from mlcore.engine import fit, pick_device
from mlcore.events import Event, StepDone
from mlcore.extractors import build_extractor
from mlcore.losses import build_loss


class ReadySteps:
    """Forward, backward and the optimizer's step, always on one batch that is there already."""

    def __init__(self, recipe: Recipe, labels: int, device: str) -> None:
        size, batch = recipe.preprocess.size, recipe.sampler.batch_size
        self.device = device
        self.network = build_extractor(recipe.extractor, size=size).to(device).to(memory_format=torch.channels_last)
        self.loss = build_loss(recipe.loss, labels=labels, dimension=recipe.extractor.dimension).to(device)
        parameters = [*self.network.parameters(), *self.loss.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=1e-3)
        images = torch.randn(batch, 3, size, size, device=device)
        self.images = images.contiguous(memory_format=torch.channels_last)
        self.labels = torch.arange(batch, device=device) % labels
        self.network.train()

    def step(self) -> float:
        with torch.autocast(torch.device(self.device).type, torch.bfloat16):
            embeddings = self.network(self.images)
        value: Tensor = self.loss(embeddings, self.labels, torch.arange(len(self.labels), device=self.device)).value
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        self.optimizer.step()
        return float(value.detach())


class Watch:
    """Times every step of a training from the end of the one before, and after each of them a ready step."""

    def __init__(self, ready: ReadySteps, batch: int, epoch: int) -> None:
        self.ready, self.epoch = ready, epoch
        self.cold = {"tensor": Taken(batch), "files, cold": Taken(batch)}
        self.warm = {"tensor": Taken(batch), "files, warm": Taken(batch)}
        self.start = now()

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepDone) and event.step > 3:  # the first ones find their memory
            taken = self.cold if event.step <= self.epoch else self.warm
            tensor, files = taken.values()
            files.add(self.start)
            start = now()
            self.ready.step()
            tensor.add(start)
        self.start = now()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=GROCERY, help="a zip with a df.csv beside its images")
    parser.add_argument("--augment", choices=AUGMENTS, default="standard")
    parser.add_argument("--epochs", type=int, default=3, help="the first of them cold")
    add_options(parser)
    arguments = parser.parse_args()
    arrange(arguments)
    print_machine()
    with unpacked(arguments.photos) as (manifest, source), tempfile.TemporaryDirectory() as work:
        train = manifest[manifest["split"] == "train"]
        sampler = ShuffleSampler(batch_size=64)
        epoch = len(train) // sampler.batch_size
        steps = epoch * arguments.epochs
        recipe = Recipe(
            **network_of(arguments),
            sampler=sampler,
            augment=AUGMENTS[arguments.augment],
            steps=steps,
            validate_every=steps,
            checkpoint_every=steps,
            log_every=1,
            workers=arguments.workers,
        )
        ready = ReadySteps(recipe, train["label"].nunique(), pick_device(None))
        watch = Watch(ready, sampler.batch_size, epoch)
        fit(recipe, manifest, source=source, out_dir=Path(work) / "training", on_event=watch)
        print_table(watch.cold, ["tensor"])
        print_table(watch.warm, ["tensor"])


if __name__ == "__main__":
    main()
