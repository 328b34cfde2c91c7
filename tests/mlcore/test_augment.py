"""Augmentation: the pixels of torchvision's functions for the same parameters; draws that follow from their place."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from mlcore import compat  # isort: skip  (before torchvision)
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as oracle

from mlcore.augment import Augmenter, Draws, draw, source_squares
from mlcore.config import AUGMENTS, Augment, Preprocess

assert compat
T, S = 40, 24
PLAIN = Preprocess(size=S, mean=(0, 0, 0), std=(1 / 255, 1 / 255, 1 / 255))  # leaves 0 to 255 as they are


def still(count: int = 1) -> Draws:
    """Draws that change nothing."""
    no, one = torch.zeros(count), torch.ones(count)
    return Draws(no, no, one, one, no, no, one, one, one, no, no, no, no, no)


def waves(count: int = 1, side: int = T) -> Tensor:
    """`(count, side, side, 3)` uint8: smooth, so that ways of interpolating agree; between 60 and 190."""
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    planes = [np.sin(x / 9 + n) + np.cos(y / (7 + c) + n * c) for n in range(count) for c in range(3)]
    images = np.stack(planes).reshape(count, 3, side, side).transpose(0, 2, 3, 1)
    return torch.from_numpy((125 + 32 * images).astype(np.uint8))


def augmented(squares: Tensor, draws: Draws, preprocess: Preprocess = PLAIN) -> Tensor:
    return Augmenter(preprocess)(squares, draws)


def planes(squares: Tensor) -> Tensor:
    return squares.permute(0, 3, 1, 2).float()


def resized(squares: Tensor) -> Tensor:
    return oracle.resize(planes(squares), [S, S], antialias=False)


@pytest.mark.parametrize("flip", [0, 1])
@pytest.mark.parametrize("box", [(0, 0, 40, 40), (4, 10, 30, 20), (15, 0, 25, 24), (3, 2, 24, 24)])
def test_crop_and_flip(box: tuple[int, int, int, int], flip: int) -> None:
    left, top, width, height = box
    shares = [torch.tensor([value / T]) for value in box]
    draws = replace(
        still(), left=shares[0], top=shares[1], width=shares[2], height=shares[3], flip=torch.tensor([flip])
    )
    squares = torch.randint(0, 256, (1, T, T, 3), dtype=torch.uint8)
    expected = oracle.resized_crop(planes(squares), top, left, height, width, [S, S], antialias=False)
    if flip:
        expected = oracle.horizontal_flip(expected)
    inner = (..., slice(1, -1), slice(1, -1))  # at its edges a crop may look at what lies just outside of it
    assert torch.allclose(augmented(squares, draws)[inner], expected[inner], atol=0.02)


@pytest.mark.parametrize("angle", [-90.0, -25.0, 10.0, 180.0])
def test_rotation_about_the_centre_of_the_crop(angle: float) -> None:
    left, top, width, height = 10, 6, 20, 20
    shares = [torch.tensor([value / T]) for value in (left, top, width, height)]
    draws = replace(
        still(), left=shares[0], top=shares[1], width=shares[2], height=shares[3], angle=torch.tensor([angle])
    )
    centre = [left + width / 2, top + height / 2]
    turned = oracle.rotate(planes(waves()), -angle, InterpolationMode.BILINEAR, center=centre)
    expected = oracle.resized_crop(turned, top, left, height, width, [S, S], antialias=False)
    circle = torch.hypot(*torch.meshgrid(torch.arange(S) - 11.5, torch.arange(S) - 11.5, indexing="ij")) < 10
    assert (augmented(waves(), draws) - expected)[..., circle].abs().max() < 1.5


def test_a_turned_crop_shows_no_empty_corners() -> None:
    draws = replace(still(), angle=torch.tensor([45.0]))
    assert augmented(waves(), draws).min() > 50


def test_brightness_contrast_saturation() -> None:
    factors = {
        "brightness": [0.8, 1.2, 1, 1, 1.1],
        "contrast": [1, 1, 0.7, 1.2, 0.9],
        "saturation": [1, 0.5, 1, 1.3, 0],
    }
    draws = replace(still(5), **{name: torch.tensor(values) for name, values in factors.items()})
    images = resized(waves(5))
    for row, image in enumerate(images):
        for adjust, name in (
            (oracle.adjust_brightness, "brightness"),
            (oracle.adjust_contrast, "contrast"),
            (oracle.adjust_saturation, "saturation"),
        ):
            image = adjust(image / 255, factors[name][row]) * 255
        assert torch.allclose(
            augmented(waves(5), draws)[row], image, atol=0.6
        )  # torchvision's grey has rounded weights


def test_colours_stay_within_0_and_255() -> None:
    preprocess = Preprocess(size=S)
    draws = replace(still(2), brightness=torch.tensor([3.0, 1.0]), contrast=torch.tensor([1.0, 9.0]))
    images = augmented(waves(2), draws, preprocess)
    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocess.mean, preprocess.std))
    assert (images * std + mean).min() > -1e-5
    assert (images * std + mean).max() < 1 + 1e-5
    assert (images[0] == images[0].amax((1, 2), keepdim=True)).float().mean() > 0.5


def test_greyscale() -> None:
    draws = draw(Augment(greyscale=1, colour=0.3), seed=0, step=0, places=range(3))
    images = augmented(waves(3), draws)
    assert torch.allclose(images[:, 0], images[:, 1], atol=1e-3)
    assert torch.allclose(images[:, 0], images[:, 2], atol=1e-3)


def test_blur() -> None:
    sigma = 1.3
    squares = torch.randint(0, 256, (2, S, S, 3), dtype=torch.uint8)
    draws = replace(still(2), blur=torch.tensor([0, sigma / S]))
    images = augmented(squares, draws)
    assert torch.allclose(images[0], planes(squares)[0], atol=0.02)
    expected = oracle.gaussian_blur(planes(squares)[1], [13, 13], [sigma, sigma])
    assert torch.allclose(images[1, :, 6:-6, 6:-6], expected[:, 6:-6, 6:-6], atol=0.05)


def test_erase() -> None:
    preprocess = Preprocess(size=S)
    box = {"erase_left": 6, "erase_top": 3, "erase_width": 10, "erase_height": 5}
    draws = replace(still(2), **{name: torch.tensor([0.0, value / S]) for name, value in box.items()})
    images = augmented(waves(2), draws, preprocess)
    expected = augmented(waves(2), still(2), preprocess)
    expected[1] = oracle.erase(expected[1], 3, 6, 5, 10, torch.zeros(3, 1, 1))
    assert torch.equal(images, expected)


def test_nothing_drawn_is_preprocessing_alone() -> None:
    preprocess = Preprocess(size=S)
    squares = torch.randint(0, 256, (2, S, S, 3), dtype=torch.uint8)
    draws = draw(AUGMENTS["none"], seed=0, step=0, places=range(2))
    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocess.mean, preprocess.std))
    images = augmented(squares, draws, preprocess)
    assert torch.allclose(images, (planes(squares) / 255 - mean) / std, atol=1e-4)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert images.dtype == torch.float32


def equal(one: Draws, other: Draws) -> bool:
    return all(torch.equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(Draws))


def test_draws_follow_from_seed_step_and_place_alone() -> None:
    strong = AUGMENTS["strong"]
    whole = draw(strong, seed=1, step=7, places=range(16))
    part = draw(strong, seed=1, step=7, places=[9, 3])
    assert equal(part, Draws(*(getattr(whole, field.name)[[9, 3]] for field in fields(Draws))))
    for other in (draw(strong, seed=2, step=7, places=range(16)), draw(strong, seed=1, step=8, places=range(16))):
        assert not torch.isin(whole.angle, other.angle).any()
    gentle = draw(strong.model_copy(update={"blur": 0, "rotation": 3}), seed=1, step=7, places=range(16))
    assert torch.equal(gentle.left, whole.left)  # one setting leaves the draws of others alone
    assert torch.allclose(gentle.angle, whole.angle * 0.3)
    assert len(draw(strong, seed=1, step=7, places=[]).left) == 0


def test_draws_keep_to_the_settings() -> None:
    config = Augment(crop_scale_min=0.5, colour=0.3, rotation=20, greyscale=0.1, blur=0.3, erase=0.4)
    draws = draw(config, seed=0, step=0, places=range(20_000))
    for at, side in ((draws.left, draws.width), (draws.top, draws.height)):
        assert at.min() >= 0
        assert (at + side).max() <= 1 + 1e-6
    area, ratio = draws.width * draws.height, draws.width / draws.height
    inside = (draws.width < 1) & (draws.height < 1)  # else a side was cut to that of the photo
    assert 0.49 < area[inside].min() < 0.51
    assert 0.74 < ratio.min() < 0.76
    assert 1.32 < ratio.max() < 1.34
    assert area[inside & (area < 0.7)].median() == pytest.approx(0.6, abs=0.01)  # evenly in the area
    assert draws.flip.mean() == pytest.approx(0.5, abs=0.02)
    assert draws.angle.abs().max() == pytest.approx(20, abs=0.1)
    for factor in (draws.brightness, draws.contrast):
        assert factor.min() == pytest.approx(0.7, abs=0.01)
        assert factor.max() == pytest.approx(1.3, abs=0.01)
    assert (draws.saturation == 0).float().mean() == pytest.approx(0.1, abs=0.01)
    assert (draws.blur > 0).float().mean() == pytest.approx(0.3, abs=0.02)
    assert (draws.erase_height > 0).float().mean() == pytest.approx(0.4, abs=0.02)
    still_left = draw(AUGMENTS["none"], seed=0, step=0, places=range(50))
    for name in ("left", "top", "flip", "angle", "blur", "erase_height"):
        assert (getattr(still_left, name) == 0).all()


def test_squares_to_crop_from_are_as_large_as_the_least_crop_needs() -> None:
    base = Preprocess(size=96, fit="crop", crop_share=0.8, interpolation="bicubic")
    for least in (1, 0.85, 0.6, 0.3):
        larger = source_squares(base, Augment(crop_scale_min=least))
        assert larger.size == min(192, math.ceil(96 / math.sqrt(least)))
        assert (larger.fit, larger.crop_share, larger.interpolation) == ("crop", 1, "bicubic")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda_as_on_the_cpu() -> None:
    draws = draw(AUGMENTS["strong"], seed=0, step=0, places=range(8))
    there = Augmenter(PLAIN, "cuda")(waves(8).cuda(), draws).cpu()
    assert torch.allclose(there, augmented(waves(8), draws), atol=0.1)
