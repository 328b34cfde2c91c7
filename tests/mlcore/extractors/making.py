"""Small networks and files for the tests of extractors."""

import torch
from torch import Tensor, nn

from mlcore.config import Head, NoHead
from mlcore.extractors import Network

WIDTH = 6


class Tiny(nn.Module):
    """`(B, 3, S, S) -> (B, 6)`: what a ResNet is, in small, with its names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(nn.Conv2d(4, WIDTH, 3), nn.BatchNorm2d(WIDTH), nn.Dropout(0.5))

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.layer1(self.bn1(self.conv1(images)))
        return maps.mean((2, 3))


def tiny(seed: int, dimension: int = WIDTH, head: Head | None = NoHead()) -> Network:  # noqa: B008
    torch.manual_seed(seed)
    network = Network(Tiny(), WIDTH, dimension, head)
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    return network


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())
