"""From an RGB photo to the network's input: one object in training, report and API. And training's augmentation."""

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from mlcore.config import Augment, Preprocess


class Preprocessor:
    """`__call__`: RGB photo of any size -> `(3, S, S)` uint8. `normalise`: `(B, 3, S, S)` uint8 -> float32."""

    def __init__(self, config: Preprocess) -> None:
        self.config = config
        self.mean = torch.tensor(config.mean).view(1, 3, 1, 1) * 255
        self.std = torch.tensor(config.std).view(1, 3, 1, 1) * 255

    def __call__(self, image: Image.Image) -> Tensor:
        return to_tensor(self.fit(image))

    def fit(self, image: Image.Image) -> Image.Image:
        """Makes a photo `S` x `S`: stretched, cropped about its centre, or padded with its mean colour."""
        side = (self.config.size, self.config.size)
        match self.config.fit:
            case "stretch":
                return image.resize(side, Image.Resampling.BILINEAR)
            case "crop":
                return ImageOps.fit(image, side, Image.Resampling.BILINEAR)
            case "pad":
                grey = tuple(round(255 * value) for value in self.config.mean)
                return ImageOps.pad(image, side, Image.Resampling.BILINEAR, color=grey)

    def normalise(self, batch: Tensor) -> Tensor:
        return (batch.float() - self.mean.to(batch.device)) / self.std.to(batch.device)


def to_tensor(image: Image.Image) -> Tensor:
    """`(3, H, W)` uint8. Normalised only on the batch: four times less to carry between processes."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def augment(image: Image.Image, config: Augment, rng: np.random.Generator) -> Image.Image:
    """A random crop, flip and colour shift, drawn from `rng` alone, so that a resumed run repeats them exactly."""
    if config.crop_scale_min < 1:
        area = rng.uniform(config.crop_scale_min, 1)
        ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        width = min(image.width, max(1, round(image.width * np.sqrt(area * ratio))))
        height = min(image.height, max(1, round(image.height * np.sqrt(area / ratio))))
        x, y = int(rng.integers(image.width - width + 1)), int(rng.integers(image.height - height + 1))
        image = image.crop((x, y, x + width, y + height))
    if config.flip and rng.random() < 0.5:
        image = ImageOps.mirror(image)
    return image


def shift_colour(image: Image.Image, config: Augment, rng: np.random.Generator) -> Image.Image:
    """Brightness, contrast and saturation, each by up to `config.colour`. After resizing, where it is cheap."""
    if config.colour:
        for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = enhancer(image).enhance(rng.uniform(1 - config.colour, 1 + config.colour))
    return image
