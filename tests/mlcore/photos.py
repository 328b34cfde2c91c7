"""Small drawn photos for tests: every label is a colour and a shape, every sample another place and noise."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from mlcore.config import Augment, BalancedSampler, Extractor, Optimizer, Preprocess, Recipe, ViT
from mlcore.manifest import as_manifest

SIZE = 32


@dataclass(frozen=True)
class MemorySource:
    photos: dict[str, bytes]

    def __call__(self, key: str) -> bytes:
        return self.photos[key]


def draw(label: int, sample: int) -> bytes:
    rng = np.random.default_rng([label, sample])
    image = Image.fromarray(rng.integers(0, 60, (48, 48, 3), dtype=np.uint8))
    colour = tuple(np.random.default_rng([label]).integers(80, 256, 3).tolist())
    x, y = rng.integers(2, 20, 2).tolist()
    pen = ImageDraw.Draw(image)
    (pen.ellipse if label % 2 else pen.rectangle)((x, y, x + 24, y + 24), fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return buffer.getvalue()


def patches(seed: int) -> Image.Image:
    """120 x 160: soft patches of one palette, so that only where they lie tells two pictures apart."""
    tones = np.random.default_rng(seed).permutation(np.linspace(0, 255, 24)).reshape(6, 4)
    colours = np.stack([tones, tones / 2 + 60, 200 - tones / 2], axis=2)
    return Image.fromarray(colours.astype(np.uint8)).resize((120, 160), Image.Resampling.BICUBIC)


def make_photos(
    *, train_labels: int = 6, validation_labels: int = 4, samples: int = 4
) -> tuple[pd.DataFrame, MemorySource]:
    """A manifest and its source: train labels first, then as many validation labels, query and gallery at once."""
    photos = {f"{a}/{b}.jpg": draw(a, b) for a in range(train_labels + validation_labels) for b in range(samples)}
    labels = [int(key.split("/")[0]) for key in photos]
    validation = [label >= train_labels for label in labels]
    frame = pd.DataFrame(
        {
            "sample_id": range(1, len(photos) + 1),
            "image_key": list(photos),
            "sha256": [hashlib.sha256(data).hexdigest() for data in photos.values()],
            "path": list(photos),
            "label": [f"label-{label}" for label in labels],
            "category": ["round" if label % 2 else "square" for label in labels],
            "split": ["validation" if held_out else "train" for held_out in validation],
            "is_query": validation,
            "is_gallery": validation,
            "sequence": "",
            **dict.fromkeys(("x_1", "y_1", "x_2", "y_2"), pd.NA),
        }
    )
    return as_manifest(frame), MemorySource(photos)


def write_folder(root: Path, manifest: pd.DataFrame, source: MemorySource) -> Path:
    """The photos below `root` with `df.csv` beside them; returns the table's path."""
    for key, data in source.photos.items():
        file = root / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    columns = ["path", "label", "category", "split", "is_query", "is_gallery"]
    table = root / "df.csv"
    manifest[columns].to_csv(table, index=False)
    # The flags of train rows stay empty, as the format says.
    text = table.read_text().replace("train,False,False", "train,,")
    table.write_text(text)
    return table


def small_recipe(**changes: object) -> Recipe:
    """Trains in a few seconds on one core. The small ViT: its checkpoints are a quarter of a ResNet's."""
    extractor: Extractor = ViT(dimension=16)
    settings = {
        "extractor": extractor,
        "preprocess": Preprocess(size=SIZE),
        "augment": Augment(crop_scale_min=0.8),
        "sampler": BalancedSampler(labels=4, instances=2),
        "optimizer": Optimizer(lr=1e-3),
        "steps": 6,
        "validate_every": 3,
        "checkpoint_every": 2,
        "log_every": 1,
        "workers": 1,
    }
    return Recipe.model_validate({**settings, **changes})
