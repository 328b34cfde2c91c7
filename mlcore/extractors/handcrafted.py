"""An extractor that nobody trained: how often each colour occurs, and which way brightness changes where.

After Swain and Ballard 1991 (colour histograms), Dalal and Triggs 2005 (histograms of oriented gradients) and Lazebnik,
Schmid and Ponce 2006 (pyramids of regions). Its settings were chosen on train labels of the development data alone.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlcore.config import Preprocess
from mlcore.config.extractors import COLOUR_GRADIENT_DIMENSION

COLOUR_SIDE, TONES, TONE_LIMIT, LIGHTS = 32, 12, 0.36, 4
GRADIENT_SIDE, DIRECTIONS, GRIDS = 48, 12, (1, 2, 4)
VERSION = 1  # goes into the weights, and so into the space: change it with anything that changes a vector


class ColourGradient(nn.Module):
    """`(B, 3, S, S)` normalised -> `(B, 828)`: two blocks of unit length, colours (576) and gradients (252).

    Colour: a joint histogram of lightness (4 bins), red-green and yellow-blue (12 each) over the square roots of RGB.
    Gradients: 12 directions, weighted by the square root of their strength, in a pyramid of 1, 4 and 16 regions.
    Every count is shared between neighbouring bins, so that a small change of a photo is a small change of its vector.
    Square roots of the counts: then the product of two vectors is the Bhattacharyya coefficient.
    """

    version: Tensor
    mean: Tensor
    std: Tensor
    regions: Tensor

    def __init__(self, preprocess: Preprocess) -> None:
        super().__init__()
        self.register_buffer("version", torch.tensor([VERSION]))
        self.register_buffer("mean", torch.tensor(preprocess.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocess.std).view(1, 3, 1, 1), persistent=False)
        pyramid = torch.cat([region_weights(GRADIENT_SIDE, grid) for grid in GRIDS], 1)  # (P, 21)
        self.register_buffer("regions", pyramid, persistent=False)

    @property
    def features(self) -> int:
        return COLOUR_GRADIENT_DIMENSION

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            rgb = (images.float() * self.std + self.mean).clamp(0, 1)  # what normalisation took away
            colours, gradients = colour_histogram(rgb), gradient_histograms(rgb, self.regions)
            levels = torch.split(gradients, [grid * grid for grid in GRIDS], 2)  # the same weight for each
            shape = torch.cat([unit(level.sqrt().flatten(1)) for level in levels], 1)
            return torch.cat([unit(colours.sqrt()), unit(shape)], 1)


def unit(block: Tensor) -> Tensor:
    """`(B, D)` of unit length. A photo of one colour has no gradients: zeros, not noise brought to unit length."""
    return F.normalize(block, eps=1e-3)


def colour_histogram(rgb: Tensor) -> Tensor:
    """`(B, 3, S, S)` in 0..1 -> `(B, 576)`, each row of sum 1."""
    red, green, blue = F.interpolate(rgb, (COLOUR_SIDE, COLOUR_SIDE), mode="area").sqrt().flatten(2).unbind(1)
    tones = torch.linspace(-TONE_LIMIT, TONE_LIMIT, TONES, device=rgb.device)
    warm = soft_bins((red - green).clamp(-TONE_LIMIT, TONE_LIMIT), tones)  # (B, P) -> (B, 12, P)
    cold = soft_bins(((red + green) / 2 - blue).clamp(-TONE_LIMIT, TONE_LIMIT), tones)
    light = soft_bins((red + green + blue) / 3, torch.linspace(0, 1, LIGHTS, device=rgb.device))
    both = (warm[:, :, None] * light[:, None]).flatten(1, 2)  # (B, 48, P)
    return totals(both, cold.transpose(1, 2)).flatten(1) / both.shape[2]  # (B, 48, P) x (B, P, 12) -> (B, 576)


def gradient_histograms(rgb: Tensor, regions: Tensor) -> Tensor:
    """`(B, 3, S, S)` in 0..1 -> `(B, 12, 21)`: for each region how much brightness rises in each direction."""
    grey = F.interpolate(rgb, (GRADIENT_SIDE, GRADIENT_SIDE), mode="area").sqrt().mean(1, keepdim=True)
    around = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    across = (around[..., 1:-1, 2:] - around[..., 1:-1, :-2]).flatten(1)  # (B, P)
    down = (around[..., 2:, 1:-1] - around[..., :-2, 1:-1]).flatten(1)
    turn = 2 * math.pi
    centres = torch.arange(DIRECTIONS, device=rgb.device) * (turn / DIRECTIONS)
    directions = soft_bins(torch.atan2(down, across) % turn, centres, around=turn)  # (B, 12, P)
    strengths = torch.hypot(across, down).sqrt()
    return totals(directions * strengths[:, None], regions)  # (B, 12, P) x (P, 21)


def totals(counts: Tensor, weights: Tensor) -> Tensor:
    """Their product. In float64, which no autocast takes down to bfloat16, not even that of a traced copy."""
    return (counts.double() @ weights.double()).float()


def soft_bins(values: Tensor, centres: Tensor, around: float | None = None) -> Tensor:
    """`(B, P)` -> `(B, K, P)`: each value shared between the two nearest of evenly spaced centres; sums of 1.

    around: where the values are those of a circle, its length.
    """
    gaps = (values[:, None] - centres[:, None]).abs()
    if around is not None:
        gaps = torch.minimum(gaps, around - gaps)
    return (1 - gaps / (centres[1] - centres[0])).clamp(min=0)


def region_weights(side: int, grid: int) -> Tensor:
    """`(side * side, grid * grid)`: how much each pixel counts in each region. Regions overlap softly; sums of 1."""
    places = (torch.arange(side) + 0.5) / side
    if grid == 1:
        line = torch.ones(side, 1)
    else:
        line = soft_bins(places[None], (torch.arange(grid) + 0.5) / grid)[0].T  # (side, grid)
        line = line / line.sum(1, keepdim=True)  # at the rim there is only one centre
    weights = torch.einsum("yi,xj->yxij", line, line).reshape(side * side, grid * grid)
    return weights / weights.sum(0)
