"""From a photo to the network's input: against Pillow's own resizing, and the same from bytes as from pixels."""

import io

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mlcore.config import Preprocess
from mlcore.images import decode
from mlcore.preprocess import Preprocessor

SIZES = [(80, 40), (33, 300), (1, 1), (16, 16), (200, 171), (5, 7)]
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def photo(width: int, height: int) -> Image.Image:
    """Waves of several lengths, as in a photo; their finest is eleven pixels long."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    waves = [np.sin(x * 0.57 + y * 0.2), np.sin(x / 9 - y / 4), np.cos(x / 40 + y / 30)]
    return Image.fromarray(
        (127 + 60 * np.stack(waves, axis=2) + 60 * waves[1][..., None]).clip(0, 255).astype(np.uint8)
    )


def jpeg(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92, **options)
    return buffer.getvalue()


def pixels(preprocess: Preprocessor, image: Image.Image) -> NDArray[np.int64]:
    result = preprocess(image)
    assert (result.shape, result.dtype) == ((3, preprocess.config.size, preprocess.config.size), torch.uint8)
    return result.permute(1, 2, 0).numpy().astype(int)


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", SIZES)
def test_stretched(size: tuple[int, int], interpolation: str) -> None:
    preprocess = Preprocessor(Preprocess.model_validate({"size": 24, "interpolation": interpolation}))
    expected = np.asarray(photo(*size).resize((24, 24), FILTERS[interpolation])).astype(int)
    difference = np.abs(pixels(preprocess, photo(*size)) - expected)
    assert difference.max() <= 2  # both round between their two passes
    assert difference.mean() < 0.3


@pytest.mark.parametrize("share", [1, 0.875])
@pytest.mark.parametrize("size", SIZES)
def test_cropped_about_the_centre(size: tuple[int, int], share: float) -> None:
    preprocess = Preprocessor(Preprocess(size=24, fit="crop", crop_share=share))
    bleed = (1 - share) / 2  # Pillow cuts a share of the shorter side from both ends, and then off the longer side
    expected = ImageOps.fit(photo(*size), (24, 24), Image.Resampling.BILINEAR, bleed=bleed)
    assert np.abs(pixels(preprocess, photo(*size)) - np.asarray(expected).astype(int)).max() <= 2


@pytest.mark.parametrize("size", SIZES)
def test_padded_with_the_mean_colour(size: tuple[int, int]) -> None:
    preprocess = Preprocessor(Preprocess(size=24, fit="pad", mean=(0.2, 0.4, 0.6)))
    expected = ImageOps.pad(photo(*size), (24, 24), Image.Resampling.BILINEAR, color=(51, 102, 153))
    assert np.abs(pixels(preprocess, photo(*size)) - np.asarray(expected).astype(int)).max() <= 2


def test_normalised_values_follow_mean_and_deviation() -> None:
    preprocess = Preprocessor(Preprocess(size=16, mean=(0.5, 0.4, 0.3), std=(0.25, 0.5, 1.0)))
    batch = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    for given in (batch, batch.contiguous(memory_format=torch.channels_last)):
        normalised = preprocess.normalise(given)
        for channel, (mean, std) in enumerate(((0.5, 0.25), (0.4, 0.5), (0.3, 1.0))):
            expected = (given[:, channel].double() / 255 - mean) / std
            assert torch.allclose(normalised[:, channel].double(), expected, atol=1e-5)
        assert normalised.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(given, batch)  # not in place


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("turned", [False, True])
def test_a_large_jpeg_is_decoded_small_with_nearly_the_same_pixels(fit: str, turned: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    data = jpeg(photo(701, 503), exif=exif)
    preprocess = Preprocessor(Preprocess.model_validate({"size": 48, "fit": fit}))
    longer, shorter = (176, 126) if fit == "pad" else (351, 252)  # at least 3 * 48 on the side that counts
    assert preprocess.decode(data, None).size == ((shorter, longer) if turned else (longer, shorter))
    small, whole = preprocess.read(data).double(), preprocess(decode(data)).double()
    assert (small - whole).abs().mean() < 1
    assert torch.nn.functional.cosine_similarity(small.flatten(), whole.flatten(), dim=0) > 0.9999


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_what_is_not_much_larger_and_what_is_no_jpeg_is_decoded_whole(fit: str) -> None:
    preprocess = Preprocessor(Preprocess.model_validate({"size": 48, "fit": fit, "crop_share": 0.9}))
    buffer = io.BytesIO()
    photo(701, 503).save(buffer, "PNG")
    for data in (jpeg(photo(150, 120)), buffer.getvalue()):
        assert torch.equal(preprocess.read(data), preprocess(decode(data)))


def test_a_box_is_cut_out_of_the_whole_photo_before_resizing() -> None:
    image = photo(701, 503)
    image.paste((255, 0, 0), (333, 101, 502, 499))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    preprocess = Preprocessor(Preprocess(size=16))
    inside = preprocess.read(buffer.getvalue(), (333, 101, 502, 499))  # no pixel from beside the box comes in
    assert (inside == torch.tensor([255, 0, 0], dtype=torch.uint8)[:, None, None]).all()
    data = jpeg(photo(701, 503))
    assert torch.equal(preprocess.read(data, (13, 5, 678, 480)), preprocess(decode(data, (13, 5, 678, 480))))


def test_equal_variants_mean_equal_pixels() -> None:
    base = Preprocess()
    assert (
        Preprocessor(base.model_copy(update={"std": (1, 1, 1), "mean": (0, 0, 0)})).variant
        == Preprocessor(base).variant
    )
    changes: list[dict[str, object]] = [{"size": 32}, {"fit": "pad"}, {"crop_share": 0.9}, {"interpolation": "bicubic"}]
    changes += [{"fit": "pad", "mean": (0, 0, 0)}]
    variants = {Preprocessor(base.model_copy(update=change)).variant for change in [{}, *changes]}
    assert len(variants) == 6
