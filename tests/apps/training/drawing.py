"""Small drawn photos whose label shows only in the colours of a mark; the ground is large and says nothing."""

import colorsys
import io

import numpy as np
from PIL import Image

SIDE = 40  # pixels


def draw(label: int, photo: int) -> bytes:
    """A PNG of one label: a disc in a ring, in the label's two hues, somewhere on a ground of any colour."""
    hues = np.random.default_rng([label, 7]).random(2)
    inner, outer = (255 * np.array(colorsys.hsv_to_rgb(hue, 0.9, 0.9)) for hue in hues)
    rng = np.random.default_rng([label, photo, 11])
    pixels = np.empty((SIDE, SIDE, 3), dtype=np.float64)
    pixels[:] = rng.integers(0, 256, 3)
    radius = rng.uniform(9, 12)
    y, x = rng.uniform(13, SIDE - 13, 2)
    distance = np.hypot(*(np.mgrid[:SIDE, :SIDE] - np.array([y, x])[:, None, None]))
    pixels[distance < radius] = outer
    pixels[distance < radius * 0.65] = inner
    pixels += rng.normal(0, 6, pixels.shape)
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
