"""From a photo to the network's input: one object in training, validation, report and API, stored with the model."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from mlcore.config import Preprocess
from mlcore.images import Box, decode, decode_small

PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
# A JPEG decoded at a fraction keeps at least so many pixels for each of the result: its vector then equals that of the
# whole decode to a cosine of 0.9999 (seen on mosaics of real photos: 0.99996; with twice as many, 0.99985).
OVERSAMPLING = 3


class Preprocessor:
    """`read`: a file's bytes -> `(3, S, S)` uint8. `normalise`: `(B, 3, S, S)` uint8 -> float32.

    `read` is what every path calls. `__call__` takes a photo that is decoded already, and differs from it by what a
    JPEG loses when it is decoded at a fraction of its size.
    """

    def __init__(self, config: Preprocess) -> None:
        self.config = config
        self.mean = torch.tensor(config.mean).view(1, 3, 1, 1) * 255
        self.std = torch.tensor(config.std).view(1, 3, 1, 1) * 255

    @property
    def variant(self) -> str:
        """Equal variants, equal pixels. What comes after the pixels plays no part."""
        config = self.config
        colour = [round(255 * value) for value in config.mean] if config.fit == "pad" else None
        return f"1 {config.size} {config.fit} {config.crop_share} {config.interpolation} {colour}"

    def read(self, data: bytes, box: Box | None = None) -> Tensor:
        """A photo's bytes -> `(3, S, S)` uint8. A box is cut out of the whole photo. Raises ImageProblem."""
        return self(self.decode(data, box))

    def decode(self, data: bytes, box: Box | None) -> Image.Image:
        """RGB, at a fraction of its size where that is enough."""
        enough = OVERSAMPLING * self.config.size
        if box is not None:
            return decode(data, box)
        match self.config.fit:
            case "stretch":
                return decode_small(data, shorter=enough)
            case "crop":
                return decode_small(data, shorter=round(enough / self.config.crop_share))
            case "pad":
                return decode_small(data, longer=enough)

    def __call__(self, image: Image.Image) -> Tensor:
        """An RGB photo of any size -> `(3, S, S)` uint8: stretched, cropped about its centre, or padded."""
        return self.square(image).permute(2, 0, 1)

    def square(self, image: Image.Image) -> Tensor:
        """`(S, S, 3)` uint8."""
        size, (width, height) = self.config.size, image.size
        match self.config.fit:
            case "stretch":
                return self.resize(image, size, size)
            case "crop":  # its edges need not lie between two pixels, which torch does not offer
                side = min(width, height) * self.config.crop_share
                left, top = (width - side) / 2, (height - side) / 2
                box = (left, top, left + side, top + side)
                return torch.from_numpy(
                    np.array(image.resize((size, size), PILLOW[self.config.interpolation], box=box))
                )
            case "pad":
                scale = size / max(height, width)
                fitted = self.resize(image, max(1, round(height * scale)), max(1, round(width * scale)))
                top, left = round((size - fitted.shape[0]) / 2), round((size - fitted.shape[1]) / 2)
                padded = torch.round(self.mean.flatten()).to(torch.uint8).expand(size, size, 3).clone()
                padded[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
                return padded

    def resize(self, image: Image.Image, height: int, width: int) -> Tensor:
        """`(H, W, 3)` uint8, antialiased: the pixels of Pillow's resize to a unit, at a third of its time."""
        images = torch.from_numpy(np.array(image))[None].permute(0, 3, 1, 2)
        resized = F.interpolate(images, (height, width), mode=self.config.interpolation, antialias=True)
        return resized.permute(0, 2, 3, 1)[0]

    def normalise(self, batch: Tensor) -> Tensor:
        """`(B, 3, S, S)` uint8 -> float32, channels last."""
        batch_size, _, height, width = batch.shape
        # Whole rows of pixels at once: to walk in steps of three would take four times as long.
        rows = batch.permute(0, 2, 3, 1).reshape(batch_size, height, width * 3).float()
        mean, std = (values.flatten().to(batch.device).repeat(width) for values in (self.mean, self.std))
        return rows.sub_(mean).div_(std).view(batch_size, height, width, 3).permute(0, 3, 1, 2)
