"""Four ways to crop, flip, resize and recolour a batch: `python benchmarks/augment.py`.

All begin with decoded squares and end with normalised float32, channels last. torchvision draws for each image by
itself; the two others for the whole batch. What was chosen and why: docs/adr/0003-augmentation.md.
"""

import argparse

import torch
from photos import print_machine, print_table, take_turns
from torch import Tensor

from mlcore import compat  # isort: skip  (before torchvision)
from PIL import Image
from torchvision.transforms import v2

from mlcore.augment import Augmenter, Draws, draw, source_squares
from mlcore.config import AUGMENTS, Augment, Preprocess
from mlcore.preprocess import Preprocessor

assert compat


def torchvision_steps(config: Augment, size: int) -> list[torch.nn.Module]:
    steps: list[torch.nn.Module] = [v2.RandomRotation(config.rotation)] if config.rotation else []
    steps += [v2.RandomResizedCrop(size, scale=(config.crop_scale_min, 1)), v2.RandomHorizontalFlip()]
    steps += [v2.ColorJitter(config.colour, config.colour, config.colour)]
    steps += [v2.RandomGrayscale(config.greyscale)] if config.greyscale else []
    return steps + ([v2.RandomApply([v2.GaussianBlur(size // 20 * 2 + 1)], config.blur)] if config.blur else [])


def filter_matrices(start: Tensor, side: Tensor, source: int, size: int) -> Tensor:
    """`(B, size, source)`: weights of a crop's antialiased pixels; `start` and `side` are shares of the source."""
    step = side * source / size
    centres = start[:, None] * source + (torch.arange(size) + 0.5) * step[:, None]  # (B, size), in pixels
    width = step.clamp(min=1)[:, None, None]
    weights = (1 - ((torch.arange(source) + 0.5) - centres[:, :, None]).abs() / width).clamp(min=0)
    return weights / weights.sum(2, keepdim=True)


class Separable(Augmenter):
    """The crop as a product with two matrices for each sample, which filter as torchvision's do. Without rotation."""

    def crop(self, squares: Tensor, draws: Draws) -> Tensor:
        source = squares.shape[1]
        across = filter_matrices(draws.left, draws.width, source, self.size)
        down = filter_matrices(draws.top, draws.height, source, self.size)
        across = torch.where(draws.flip[:, None, None] > 0, across.flip(1), across)
        images = squares.permute(0, 3, 1, 2).float().contiguous()
        rows = torch.bmm(images.flatten(1, 2), across.transpose(1, 2)).view(len(images), 3, source, self.size)
        return torch.matmul(down[:, None], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--augment", choices=AUGMENTS, default="standard")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    print_machine()
    config, preprocess = AUGMENTS[arguments.augment], Preprocess(size=arguments.size)
    source = source_squares(preprocess, config).size
    squares = torch.randint(0, 256, (arguments.batch, source, source, 3), dtype=torch.uint8)
    moved = squares.to(arguments.device)
    pictures = [Image.fromarray(square.numpy()) for square in squares]
    planes = list(squares.permute(0, 3, 1, 2))
    steps, normalise = torchvision_steps(config, arguments.size), Preprocessor(preprocess).normalise
    of_pictures, of_tensors = v2.Compose([*steps, v2.PILToTensor()]), v2.Compose(steps)
    ours, separable = Augmenter(preprocess, arguments.device), Separable(preprocess, arguments.device)

    def draws() -> Draws:
        return draw(config, seed=0, step=0, places=range(arguments.batch))

    def synchronised(images: Tensor) -> float:
        return float(images[0, 0, 0, 0])

    cases = {
        "torchvision, Pillow": lambda: synchronised(normalise(torch.stack([of_pictures(image) for image in pictures]))),
        "torchvision, tensors": lambda: synchronised(normalise(torch.stack([of_tensors(image) for image in planes]))),
        "matrices": lambda: synchronised(separable(moved, draws())),
        "sampling (ours)": lambda: synchronised(ours(moved, draws())),
    }
    if config.rotation or arguments.device != "cpu":
        del cases["matrices"]
    for case in cases.values():
        case()
    print(f"{arguments.augment}: {arguments.batch} squares of {source} to {arguments.size} on {arguments.device}")
    print_table(take_turns(cases, arguments.batch, arguments.rounds), ["torchvision, tensors"])


if __name__ == "__main__":
    main()
