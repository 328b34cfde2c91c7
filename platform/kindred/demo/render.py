"""A small renderer: turns objects, lights them and stands them on a backdrop."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter

from kindred.demo.pottery import Array, Points

SUPERSAMPLING = 1.6
FAR = -10.0  # the depth of the backdrop; larger is nearer


@dataclass(frozen=True)
class Scene:
    """Everything about a photo but its objects. Angles in radians."""

    pitch: float  # how far the camera looks down
    light: tuple[float, float, float]  # direction towards the lamp
    warmth: tuple[float, float, float]  # white balance
    exposure: float
    backdrop: int
    wall: tuple[float, float, float]
    table: tuple[float, float, float]
    noise_seed: int


@dataclass(frozen=True)
class Placed:
    """An object in a scene. `x`, `scale` in units of the photo's height; `yaw` turns it about its axis."""

    points: Points
    x: float
    yaw: float
    scale: float


def random_scene(rng: np.random.Generator) -> Scene:
    """A plausible photo: some lamp, some wall, some table."""
    side = rng.uniform(-1, 1)
    light = np.array([side, -rng.uniform(0.5, 1.0), rng.uniform(0.6, 1.2)])
    light /= np.linalg.norm(light)
    warm = rng.uniform(-0.10, 0.10)
    hue = rng.uniform(0.35, 0.9) * np.array([1.0, rng.uniform(0.86, 1.0), rng.uniform(0.76, 1.0)])
    wall = hue[rng.permutation(3)] if rng.random() < 0.35 else hue
    table = (
        np.array([0.62, 0.47, 0.34]) * rng.uniform(0.6, 1.4) if rng.random() < 0.5 else wall * rng.uniform(0.7, 0.95)
    )
    return Scene(
        pitch=rng.uniform(0.12, 0.5),
        light=(light[0], light[1], light[2]),
        warmth=(1 + warm, 1.0, 1 - warm),
        exposure=rng.uniform(0.75, 1.15),
        backdrop=int(rng.integers(4)),
        wall=tuple(np.clip(wall, 0.05, 0.95)),
        table=tuple(np.clip(table, 0.05, 0.95)),
        noise_seed=int(rng.integers(2**31)),
    )


def nudged(scene: Scene, rng: np.random.Generator) -> Scene:
    """The same scene a second later, as in a burst."""
    return replace(scene, pitch=scene.pitch + rng.normal(0, 0.02), noise_seed=int(rng.integers(2**31)))


def backdrop(scene: Scene, width: int, height: int, horizon: int) -> Array:
    """The empty set, `(height, width, 3)`."""
    y, x = np.mgrid[0:height, 0:width] / height
    image = np.empty((height, width, 3))
    image[:] = scene.wall
    image *= (1.08 - 0.25 * np.hypot(x - width / height * (0.5 + 0.4 * scene.light[0]), y - 0.2))[..., None]
    table = y > horizon / height
    grain = np.zeros_like(x)
    match scene.backdrop:
        case 0:  # boards
            grain = 0.05 * np.sin(60 * y + 3 * np.sin(5 * x + 9 * scene.exposure)) + 0.03 * np.sin(
                200 * y + 2 * np.sin(9 * x)
            )
        case 1:  # linen
            grain = 0.03 * (np.sin(x * 260) + np.sin(y * 260))
        case 2:  # tiles on the wall
            grain = np.where(table, 0, -0.08 * (((x * 6) % 1 < 0.04) | ((y * 6) % 1 < 0.04)))
    top = np.array(scene.table) * (0.82 + 0.35 * (y - horizon / height))[..., None]
    image = np.where(table[..., None], top, image)
    lit: Array = np.clip(image * (1 + grain[..., None]), 0, 1)
    return lit


def close_pinholes(image: Array, depth: Array) -> None:
    """Fills, in place, each pixel that no surface point fell on though most of its neighbours lie clearly nearer."""
    padded_depth, padded = np.pad(depth, 1, mode="edge"), np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = depth.shape
    count = np.zeros(depth.shape, dtype=np.float32)
    depth_sum, colour_sum = np.zeros_like(depth), np.zeros_like(image)
    for down in range(3):
        for right in range(3):
            there = padded_depth[down : down + height, right : right + width]
            nearer = there > depth + 0.04
            count += nearer
            depth_sum += np.where(nearer, there, 0)
            colour_sum += padded[down : down + height, right : right + width] * nearer[..., None]
    hole = count >= 5
    image[hole] = colour_sum[hole] / count[hole, None]
    depth[hole] = depth_sum[hole] / count[hole]


def render(
    objects: list[Placed], scene: Scene, width: int, height: int
) -> tuple[Image.Image, list[tuple[int, int, int, int]]]:
    """Draws a photo of `width` x `height` pixels; returns it with every object's box (x_1, y_1, x_2, y_2) in pixels."""
    w, h = int(width * SUPERSAMPLING), int(height * SUPERSAMPLING)
    floor = 0.82 * h  # where an object's foot stands
    image = backdrop(scene, w, h, horizon=int(0.62 * h))
    sin, cos = np.sin(scene.pitch), np.cos(scene.pitch)
    light = np.array(scene.light, dtype=np.float32)
    half = light + np.array([0, -cos, sin], dtype=np.float32)
    half /= np.linalg.norm(half)
    shadow = np.zeros((h, w))
    drawn: list[tuple[Array, Array, Array]] = []
    boxes = []
    for placed in objects:
        c, s = np.cos(placed.yaw), np.sin(placed.yaw)
        turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]], dtype=np.float32)
        position, normal = placed.points.position @ turn * placed.scale, placed.points.normal @ turn
        # The lamp throws each point onto the table.
        thinned = position[::3]
        foot = thinned - thinned[:, 2:3] / max(light[2], 0.3) * light * 0.6
        sx = ((placed.x + foot[:, 0]) * h).astype(int)
        sy = (floor + foot[:, 1] * sin * -h).astype(int)
        keep = (sx >= 0) & (sx < w) & (sy >= 0) & (sy < h)
        shadow[sy[keep], sx[keep]] = 1
        facing = normal[:, 1] * -cos + normal[:, 2] * sin > -0.05
        position, normal, colour = position[facing], normal[facing], placed.points.colour[facing]
        diffuse = np.clip(normal @ light, 0, 1)
        gloss = np.clip(normal @ half, 0, 1) ** 40
        sky = 0.5 + 0.5 * normal[:, 2]
        lit = colour * (0.28 + 0.14 * sky + 0.72 * diffuse)[:, None] + 0.35 * gloss[:, None]
        screen = np.stack(
            [(placed.x + position[:, 0]) * h, floor - (position[:, 2] * cos + position[:, 1] * sin) * h], axis=1
        ).astype(int)
        near = position[:, 2] * sin - position[:, 1] * cos
        keep = (screen >= 0).all(axis=1) & (screen[:, 0] < w) & (screen[:, 1] < h)
        screen, near, lit = screen[keep], near[keep], lit[keep]
        drawn.append((screen, near, lit))
        (x_1, y_1), (x_2, y_2) = screen.min(axis=0), screen.max(axis=0) + 1
        boxes.append((x_1 / SUPERSAMPLING, y_1 / SUPERSAMPLING, x_2 / SUPERSAMPLING, y_2 / SUPERSAMPLING))
    soft = Image.fromarray((shadow * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(h / 50))
    image *= 1 - 0.5 * (np.asarray(soft) / 255.0)[..., None]
    depth = np.full((h, w), FAR, dtype=np.float32)
    for screen, near, lit in drawn:
        order = np.argsort(near, kind="stable")  # the nearest is written last, and stays
        x, y = screen[order, 0], screen[order, 1]
        image[y, x], depth[y, x] = lit[order], near[order]
    for _ in range(2):
        close_pinholes(image, depth)
    image = np.clip(image * scene.exposure * scene.warmth, 0, 1) ** 0.85
    photo = Image.fromarray((image * 255).astype(np.uint8)).resize((width, height), Image.Resampling.BOX)
    grain = np.random.default_rng(scene.noise_seed).normal(0, 3, (height, width, 1))
    photo = Image.fromarray(np.clip(np.asarray(photo) + grain, 0, 255).astype(np.uint8))
    return photo, [
        (max(0, int(x_1) - 2), max(0, int(y_1) - 2), min(width, int(x_2) + 3), min(height, int(y_2) + 3))
        for x_1, y_1, x_2, y_2 in boxes
    ]
