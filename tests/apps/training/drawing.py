"""Small drawn photos whose label shows only in a pattern: colours, place and light say nothing."""

import io

import numpy as np
from PIL import Image

SIDE = 48  # pixels


def draw(label: int, photo: int, *, cells: int = 3) -> bytes:
    """A PNG of one label: its own pattern of cells, dark on light, somewhere on a coloured ground."""
    pattern = np.random.default_rng([label, 7]).permutation(cells * cells) < (cells * cells + 1) // 2
    rng = np.random.default_rng([label, photo, 11])
    ground = rng.integers(120, 256, 3)
    ink = rng.integers(0, 90, 3)
    pixels = np.empty((SIDE, SIDE, 3), dtype=np.float64)
    pixels[:] = ground
    cell = int(rng.integers(10, 13))
    left, top = rng.integers(2, SIDE - cells * cell - 1, 2)
    for index, filled in enumerate(pattern):
        y, x = top + cell * (index // cells), left + cell * (index % cells)
        if filled:
            pixels[y : y + cell, x : x + cell] = ink
    pixels += rng.normal(0, 6, pixels.shape)
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
