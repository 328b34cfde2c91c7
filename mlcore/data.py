"""Rows of a manifest as tensors, the same whichever process reads them."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mlcore.config import Augment
from mlcore.errors import InputError
from mlcore.images import Box, ImageProblem, decode
from mlcore.preprocess import Preprocessor, augment, shift_colour, to_tensor

Source = Callable[[str], bytes]  # image key -> the file's bytes
CACHE_BYTES = 256 * 2**20  # decoded photos that one process keeps


def row_boxes(manifest: pd.DataFrame) -> list[Box | None]:
    """The box of each row, None for a whole photo."""
    columns = [manifest[name].tolist() for name in ("x_1", "y_1", "x_2", "y_2")]
    return [
        None if pd.isna(x_1) else (int(x_1), int(y_1), int(x_2), int(y_2))
        for x_1, y_1, x_2, y_2 in zip(*columns, strict=True)
    ]


class Photos(Dataset[Tensor]):
    """Photos of a manifest, cropped to their box. Item `i` -> `(3, S, S)` uint8, preprocessed, not augmented."""

    def __init__(self, manifest: pd.DataFrame, source: Source, preprocess: Preprocessor) -> None:
        self.keys = manifest["image_key"].tolist()
        self.paths = manifest["path"].tolist()
        self.boxes = row_boxes(manifest)
        self.source = source
        self.preprocess = preprocess

    def __len__(self) -> int:
        return len(self.keys)

    def open(self, index: int) -> Image.Image:
        """Raises InputError, naming the file, for a photo that is gone or damaged."""
        try:
            return decode(self.source(self.keys[index]), self.boxes[index])
        except (ImageProblem, OSError) as error:
            raise InputError(f"{self.paths[index]}: {error}") from None

    def __getitem__(self, index: int) -> Tensor:
        return self.preprocess(self.open(index))


class TrainingPhotos(Photos):
    """Augmented photos. An item is asked for as `(index, seed)`; the seed alone decides the augmentation."""

    def __init__(self, manifest: pd.DataFrame, source: Source, preprocess: Preprocessor, config: Augment) -> None:
        super().__init__(manifest, source, preprocess)
        self.config = config
        self.cache: dict[int, Image.Image] = {}
        self.cached_bytes = 0

    def __getitem__(self, item: tuple[int, tuple[int, ...]]) -> Tensor:  # type: ignore[override]
        index, seed = item
        rng = np.random.default_rng(seed)
        image = augment(self.small(index), self.config, rng)
        return to_tensor(shift_colour(self.preprocess.fit(image), self.config, rng))

    def small(self, index: int) -> Image.Image:
        """The photo at the least size that a crop still fills, kept while there is room."""
        image = self.cache.get(index)
        if image is None:
            image = self.open(index)
            side = round(self.preprocess.config.size / np.sqrt(self.config.crop_scale_min))
            if min(image.size) > side:
                scale = side / min(image.size)
                size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
                image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
            bytes_needed = image.width * image.height * 3
            if self.cached_bytes + bytes_needed <= CACHE_BYTES:
                self.cache[index] = image
                self.cached_bytes += bytes_needed
        return image


def training_batches(
    photos: TrainingPhotos, batches: Sequence[Sequence[int]], *, first_step: int, seed: int, workers: int
) -> Iterator[Tensor]:
    """Yields `(B, 3, S, S)` uint8 for each batch of row numbers; `first_step` numbers the first one."""
    asked = [
        [(row, (seed, first_step + offset, place)) for place, row in enumerate(batch)]
        for offset, batch in enumerate(batches)
    ]
    loader: DataLoader[Tensor] = DataLoader(
        photos,
        batch_sampler=asked,
        num_workers=workers,
        collate_fn=torch.stack,
        prefetch_factor=4 if workers else None,
    )
    return iter(loader)
