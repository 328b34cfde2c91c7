"""Shapes and glazes: what one object of the demo catalogue looks like, from its random generator alone.

An object is a set of surface points with normals and colours. Bodies are surfaces of revolution, so that turning one
shows another side of its glaze, as with a real pot.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

# Control points of a profile: (height, radius), heights 0..1. Each label bends them a little its own way.
PROFILES: dict[str, list[tuple[float, float]]] = {
    "vase": [(0, 0.20), (0.1, 0.24), (0.4, 0.36), (0.7, 0.22), (0.85, 0.14), (1, 0.22)],
    "bottle": [(0, 0.22), (0.05, 0.24), (0.5, 0.24), (0.65, 0.18), (0.78, 0.08), (0.95, 0.07), (1, 0.09)],
    "mug": [(0, 0.30), (0.06, 0.33), (0.35, 0.33), (0.68, 0.34), (0.72, 0.35)],
    "bowl": [(0, 0.16), (0.05, 0.17), (0.1, 0.24), (0.28, 0.42), (0.45, 0.50)],
    "jar": [
        (0, 0.24),
        (0.08, 0.32),
        (0.35, 0.38),
        (0.6, 0.32),
        (0.66, 0.26),
        (0.74, 0.28),
        (0.82, 0.14),
        (0.9, 0.05),
        (0.96, 0.07),
        (1, 0.01),
    ],
    "lamp": [
        (0, 0.24),
        (0.05, 0.22),
        (0.1, 0.10),
        (0.25, 0.16),
        (0.45, 0.07),
        (0.52, 0.05),
        (0.521, 0.40),
        (0.75, 0.31),
        (1, 0.22),
    ],
    "teapot": [
        (0, 0.22),
        (0.1, 0.34),
        (0.3, 0.40),
        (0.5, 0.32),
        (0.58, 0.20),
        (0.64, 0.18),
        (0.7, 0.06),
        (0.76, 0.07),
        (0.8, 0.01),
    ],
    "candlestick": [
        (0, 0.30),
        (0.06, 0.28),
        (0.12, 0.09),
        (0.25, 0.13),
        (0.38, 0.06),
        (0.55, 0.10),
        (0.68, 0.06),
        (0.78, 0.18),
        (0.84, 0.17),
        (0.85, 0.07),
        (1, 0.065),
    ],
}
OPEN = {"vase", "mug", "bowl", "lamp"}  # one sees into these from above
HANDLED = {"mug", "teapot"}

PALETTES = np.array(
    [
        [[0.86, 0.80, 0.70], [0.20, 0.30, 0.48], [0.76, 0.42, 0.26]],
        [[0.93, 0.91, 0.86], [0.12, 0.38, 0.40], [0.90, 0.67, 0.28]],
        [[0.30, 0.26, 0.25], [0.84, 0.58, 0.42], [0.93, 0.88, 0.78]],
        [[0.55, 0.68, 0.60], [0.95, 0.92, 0.84], [0.28, 0.38, 0.33]],
        [[0.78, 0.36, 0.32], [0.96, 0.86, 0.76], [0.36, 0.18, 0.24]],
        [[0.42, 0.55, 0.74], [0.95, 0.95, 0.93], [0.18, 0.22, 0.38]],
        [[0.90, 0.76, 0.44], [0.44, 0.34, 0.24], [0.97, 0.94, 0.86]],
        [[0.68, 0.58, 0.72], [0.32, 0.24, 0.40], [0.95, 0.89, 0.90]],
        [[0.50, 0.50, 0.48], [0.88, 0.87, 0.83], [0.80, 0.34, 0.22]],
    ]
)


@dataclass(frozen=True)
class Points:
    """Surface points of one object standing on z = 0: all `(N, 3)`; `normal` of unit length, `colour` linear 0..1."""

    position: Array
    normal: Array
    colour: Array


def profile_curve(kind: str, rng: np.random.Generator, samples: int) -> Array:
    """The outline of one label, `(samples, 2)`: height and radius, resampled evenly along its length."""
    control = np.array(PROFILES[kind], dtype=float)
    control[:, 1] *= rng.uniform(0.78, 1.25, len(control))  # every label has a waist of its own
    control[:, 0] *= rng.uniform(0.85, 1.15)
    fine = np.linspace(0, 1, 60)
    t = np.linspace(0, 1, len(control))
    height, radius = np.interp(fine, t, control[:, 0]), np.interp(fine, t, control[:, 1])
    kernel = np.array([1, 2, 3, 2, 1]) / 9  # clay has no corners
    radius = np.convolve(np.pad(radius, 2, mode="edge"), kernel, mode="valid")
    along = np.concatenate([[0], np.cumsum(np.hypot(np.diff(height), np.diff(radius)))])
    even = np.linspace(0, along[-1], samples)
    return np.stack([np.interp(even, along, height), np.interp(even, along, radius)], axis=1)


def glaze(rng: np.random.Generator) -> Callable[[Array, Array], Array]:
    """A pattern: maps angle (radians) and height (0..1), both `(N,)`, to colours `(N, 3)`."""
    colours = PALETTES[rng.integers(len(PALETTES))][rng.permutation(3)]
    colours = np.clip(colours + rng.normal(0, 0.03, colours.shape), 0.03, 1)
    pattern = int(rng.integers(8))
    around = int(rng.integers(4, 12))
    up = int(rng.integers(3, 9))
    width, phase, edge = rng.uniform(0.25, 0.6), rng.uniform(0, 1), rng.uniform(0.25, 0.7)
    band = np.sort(rng.uniform(0.1, 0.9, 2))

    def paint(angle: Array, height: Array) -> Array:
        a, h = angle / (2 * np.pi) * around, height * up + phase
        match pattern:
            case 0:  # dipped
                on = height + 0.05 * np.sin(angle * around) > edge
            case 1:  # hoops
                on = h % 1 < width
            case 2:  # flutes
                on = a % 1 < width
            case 3:  # checks
                on = (np.floor(a) + np.floor(h)) % 2 == 0
            case 4:  # dots
                on = np.hypot(((a + 0.5 * (np.floor(h) % 2)) % 1) - 0.5, (h % 1) - 0.5) < width * 0.62
            case 5:  # zigzag
                on = (h + np.abs((a % 1) - 0.5)) % 1 < width
            case 6:  # spiral
                on = (h + a) % 1 < width
            case _:  # waves
                on = (h + 0.3 * np.sin(angle * around)) % 1 < width
        colour = np.where(on[:, None], colours[1], colours[0])
        ring = (height > band[0]) & (height < band[0] + 0.07)
        glazed: Array = np.where(ring[:, None], colours[2], colour)
        return glazed

    return paint


def revolve(kind: str, rng: np.random.Generator, density: int) -> Points:
    """The body of one object: its outline turned about the axis, inside too where one can see it."""
    curve = profile_curve(kind, rng, density)
    paint = glaze(rng)
    angles = np.linspace(0, 2 * np.pi, int(density * 2.4), endpoint=False)
    slope = np.gradient(curve, axis=0)
    flat = np.stack([slope[:, 0], -slope[:, 1]], axis=1)  # outward: along the radius, along the axis
    flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-9
    angle, index = np.tile(angles, len(curve)), np.repeat(np.arange(len(curve)), len(angles))
    height, radius = curve[index, 0], curve[index, 1]
    cos, sin = np.cos(angle), np.sin(angle)
    position = np.stack([radius * cos, radius * sin, height], axis=1)
    normal = np.stack([flat[index, 0] * cos, flat[index, 0] * sin, flat[index, 1]], axis=1)
    colour = paint(angle, height / curve[-1, 0])
    if kind not in OPEN:
        return Points(position, normal, colour)
    inner = position * [0.95, 0.95, 1]  # the wall has a thickness
    inside = np.broadcast_to(colour.mean(axis=0) * 0.75, colour.shape)
    return Points(
        np.concatenate([position, inner]), np.concatenate([normal, -normal]), np.concatenate([colour, inside])
    )


def tube(path: Array, thickness: float, colour: Array, density: int) -> Points:
    """A round bar along `path` `(M, 3)`: handles and spouts."""
    t = np.linspace(0, 1, density)
    at = np.linspace(0, 1, len(path))
    centre = np.stack([np.interp(t, at, path[:, axis]) for axis in range(3)], axis=1)
    along = np.gradient(centre, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    side = np.broadcast_to([0.0, 1.0, 0.0], along.shape)
    across = np.cross(along, side)
    turn = np.linspace(0, 2 * np.pi, max(24, density // 3), endpoint=False)
    normal = np.cos(turn)[None, :, None] * side[:, None] + np.sin(turn)[None, :, None] * across[:, None]
    position = centre[:, None] + thickness * normal
    flat = position.reshape(-1, 3)
    return Points(flat, normal.reshape(-1, 3), np.broadcast_to(colour, flat.shape))


def make_object(kind: str, seed: list[int], density: int) -> Points:
    """The object of one label: always the same for the same seed, at any density (points along its outline)."""
    rng = np.random.default_rng(seed)
    parts = [revolve(kind, rng, density)]
    if kind in HANDLED:
        body = parts[0]
        reach = float(np.abs(body.position[:, 0]).max())
        top = float(body.position[:, 2].max())
        colour = body.colour[rng.integers(len(body.colour))]
        low, high, bulge = rng.uniform(0.12, 0.25) * top, rng.uniform(0.62, 0.85) * top, rng.uniform(0.16, 0.30)
        arc = np.linspace(0, np.pi, 16)
        x, z = reach * 0.86 + bulge * np.sin(arc), low + (high - low) * (1 - np.cos(arc)) / 2
        parts.append(tube(np.stack([x, 0 * x, z], axis=1), rng.uniform(0.028, 0.05), colour, density))
        if kind == "teapot":
            lip = np.array([[-0.8 * reach, 0, 0.2], [-1.15 * reach, 0, 0.3], [-1.4 * reach, 0, rng.uniform(0.45, 0.6)]])
            parts.append(tube(lip, rng.uniform(0.045, 0.065), colour, density))
    return Points(
        position=np.concatenate([part.position for part in parts]).astype(np.float32),
        normal=np.concatenate([part.normal for part in parts]).astype(np.float32),
        colour=np.concatenate([part.colour for part in parts]).astype(np.float32),
    )
