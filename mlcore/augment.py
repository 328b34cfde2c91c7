"""Training's random changes, for a whole batch in a few tensor operations, on any device.

The draws of a sample follow from (seed, step, place in the batch) alone: a resumed run repeats them, and neither the
number of readers nor the number of processes plays a part. Why not torchvision: docs/adr/0003-augmentation.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mlcore.config import Augment, Preprocess

RATIO = 4 / 3  # a crop's sides differ from the photo's own proportions by up to this factor
GREY = (0.299, 0.587, 0.114)  # ITU-R 601
BLUR_SIGMA = (0.1 / 224, 2 / 224)  # shares of the side (Chen et al. 2020)
ERASE_AREA, ERASE_RATIO = (0.02, 0.33), 3.3  # (Zhong et al. 2020)
STREAM = 2  # tells these draws from the sampler's of the same seed


@dataclass(frozen=True)
class Draws:
    """What happens to each sample of a batch; every field `(B,)` float32. Places and sizes are shares of the side."""

    left: Tensor
    top: Tensor
    width: Tensor
    height: Tensor
    flip: Tensor  # 1: mirrored, 0: not
    angle: Tensor  # degrees, clockwise, about the centre of the crop
    brightness: Tensor  # factors; 1 changes nothing
    contrast: Tensor
    saturation: Tensor  # 0: grey
    blur: Tensor  # standard deviation; 0: none
    erase_left: Tensor
    erase_top: Tensor
    erase_width: Tensor
    erase_height: Tensor  # 0: nothing is erased

    def to(self, device: str) -> "Draws":
        """All of them in one transfer."""
        stacked = torch.stack([getattr(self, field.name) for field in fields(self)])
        return Draws(*stacked.to(device, non_blocking=True))


def draw(config: Augment, *, seed: int, step: int, places: Sequence[int]) -> Draws:
    """The draws of the samples at `places` of batch `step`."""
    rng = np.random.default_rng([seed, STREAM, step])
    # One row for each place: a process that has some of the places draws the same for them. One column for each use:
    # to change one setting leaves the draws of the others alone.
    table = torch.from_numpy(rng.random((max(places, default=-1) + 1, 17), dtype=np.float32))[list(places)]
    area, ratio, left, top, flip, angle, bright, contrast, saturation, grey, *others = table.unbind(1)
    blurred, sigma, erased, erase_area, erase_ratio, erase_left, erase_top = others
    width, height = sides(between(area, config.crop_scale_min, 1), RATIO, ratio)
    if config.crop_scale_min == 1:
        width = height = torch.ones_like(area)
    erase_width, erase_height = sides(between(erase_area, *ERASE_AREA), ERASE_RATIO, erase_ratio)
    low, high = 1 - config.colour, 1 + config.colour
    return Draws(
        left=left * (1 - width),
        top=top * (1 - height),
        width=width,
        height=height,
        flip=(flip < (0.5 if config.flip else 0)).float(),
        angle=between(angle, -config.rotation, config.rotation),
        brightness=between(bright, low, high),
        contrast=between(contrast, low, high),
        saturation=between(saturation, low, high) * (grey >= config.greyscale),
        blur=between(sigma, *BLUR_SIGMA) * (blurred < config.blur),
        erase_left=erase_left * (1 - erase_width),
        erase_top=erase_top * (1 - erase_height),
        erase_width=erase_width,
        erase_height=erase_height * (erased < config.erase),
    )


def between(shares: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * shares


def sides(area: Tensor, most: float, share: Tensor) -> tuple[Tensor, Tensor]:
    """(width, height) of rectangles of an area, their ratio between 1/most and most, evenly in its logarithm."""
    ratio = most ** between(share, -1, 1)
    return (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)


def source_squares(preprocess: Preprocess, config: Augment) -> Preprocess:
    """How photos are made square before they are cropped: as in `preprocess`, but larger, and whole where `fit=crop`.

    The side is the least that a crop of the least area still fills. At most twice the result's: crops are taken
    without a filter of their own, and would alias.
    """
    side = math.ceil(preprocess.size / math.sqrt(config.crop_scale_min))
    return preprocess.model_copy(update={"size": min(side, 2 * preprocess.size), "crop_share": 1.0})


class Augmenter:
    """`(B, T, T, 3)` uint8 squares and their draws -> `(B, 3, S, S)` float32: augmented, normalised, channels last."""

    def __init__(self, preprocess: Preprocess, device: str = "cpu") -> None:
        self.size, self.device = preprocess.size, device
        self.mean, self.std = (
            255 * torch.tensor(values, device=device) for values in (preprocess.mean, preprocess.std)
        )
        self.grey = torch.tensor(GREY, device=device)
        pairs = zip(preprocess.mean, preprocess.std, strict=True)
        self.limits = [(-mean / std, (1 - mean) / std) for mean, std in pairs]  # black and white, normalised

    def __call__(self, squares: Tensor, draws: Draws) -> Tensor:
        """`squares` on the device; `draws` on the CPU, where asking which samples are meant keeps no device waiting."""
        moved = draws.to(self.device)
        images = self.crop(squares, moved)
        images = blur(images, draws.blur)
        matrix, offset = self.colours(images, moved)
        flat = torch.baddbmm(offset[:, :, None], matrix, images.flatten(2))  # (B, 3, S * S)
        for channel, limits in enumerate(self.limits):
            flat[:, channel].clamp_(*limits)
        return erase(flat.view_as(images), draws).contiguous(memory_format=torch.channels_last)

    def crop(self, squares: Tensor, draws: Draws) -> Tensor:
        """`(B, T, T, 3)` uint8 -> `(B, 3, S, S)` float32, 0 to 255: crop, rotation, flip and resizing in one sampling.

        Bilinear. What lies outside of the square, where a rotated crop leaves it, is mirrored in.
        """
        steps = (torch.arange(self.size, device=squares.device) * 2 + 1) / self.size - 1  # centres of pixels, -1 to 1
        cos, sin = torch.cos(torch.deg2rad(draws.angle))[:, None], torch.sin(torch.deg2rad(draws.angle))[:, None]
        across = (draws.width * (1 - 2 * draws.flip))[:, None] * steps  # (B, S)
        down = draws.height[:, None] * steps  # (B, S)
        x, y = (2 * draws.left + draws.width - 1)[:, None], (2 * draws.top + draws.height - 1)[:, None]  # of the centre
        grid = torch.empty(len(squares), self.size, self.size, 2, device=squares.device)
        torch.add((x + cos * across)[:, None, :], (sin * down)[:, :, None], out=grid[..., 0])
        torch.add((y - sin * across)[:, None, :], (cos * down)[:, :, None], out=grid[..., 1])
        images = squares.permute(0, 3, 1, 2).float()
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    def colours(self, images: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Brightness, then contrast about the mean grey, then saturation, then normalisation: `(B, 3, 3)`, `(B, 3)`."""
        mix = draws.saturation[:, None, None] * torch.eye(3, device=images.device)
        mix = mix + (1 - draws.saturation)[:, None, None] * self.grey  # rows that sum to 1
        matrix = (draws.brightness * draws.contrast)[:, None, None] * mix / self.std[:, None]
        level = draws.brightness * (images.mean((2, 3)) @ self.grey)  # (B,) mean grey, made brighter
        offset = ((1 - draws.contrast) * level)[:, None] - self.mean  # (B, 3)
        return matrix, offset / self.std


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blurs those of `(B, 3, S, S)` whose `sigma` `(B,)`, a share of the side, is over 0. In place.

    At the border the Gaussian is cut off, and its weights rescaled.
    """
    rows = torch.nonzero(sigma > 0).flatten()
    if len(rows):
        size, device = images.shape[-1], images.device
        rows, sigma = rows.to(device), (sigma[rows] * size).to(device)
        at = torch.arange(size, device=device)
        distance = (at[:, None] - at[None, :]) / sigma[:, None, None]  # (b, S, S), in standard deviations
        weights = torch.softmax(-distance.square() / 2, dim=2)[:, None]
        images[rows] = weights @ images[rows] @ weights.transpose(2, 3)
    return images


def erase(images: Tensor, draws: Draws) -> Tensor:
    """Sets a rectangle of normalised `(B, 3, S, S)` to 0, the mean colour, where its height is over 0. In place."""
    rows = torch.nonzero(draws.erase_height > 0).flatten()
    if len(rows):
        at = (torch.arange(images.shape[-1]) + 0.5) / images.shape[-1]  # centres of pixels, as shares of the side
        inside = [
            (at >= start[rows, None]) & (at < (start + side)[rows, None])  # (b, S)
            for start, side in ((draws.erase_top, draws.erase_height), (draws.erase_left, draws.erase_width))
        ]
        kept = ~(inside[0][:, None, :, None] & inside[1][:, None, None, :])  # (b, 1, S, S)
        images[rows.to(images.device)] *= kept.to(images.device)
    return images
