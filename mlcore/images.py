"""From the bytes of a file to the right RGB photo, or to a clear refusal. No torch.

Every path into Kindred decodes here: the upload, the training, the report and the API. Nothing is shared between
calls, so threads may call at once.
"""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO")
TRIED = FORMATS[:-1]  # an MPO is opened as the JPEG that it begins with; Pillow knows no other way
# Image.open, told which formats to try, loads no plugin by itself: each is imported, and so registered, here.
PLUGINS = (
    *(BmpImagePlugin, GifImagePlugin, JpegImagePlugin, MpoImagePlugin),
    *(PngImagePlugin, TiffImagePlugin, WebPImagePlugin),
)
MAX_PIXELS = 89_000_000  # a little under where Pillow begins to warn of decompression bombs
MAX_SIDE = 65_535
WEBP_QUALITY, WEBP_METHOD = 82, 2
WHITE = (255, 255, 255)

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Box = tuple[int, int, int, int]  # x_1, y_1, x_2, y_2 in pixels, after EXIF rotation


class ImageProblem(ValueError):  # noqa: N818
    """The bytes are no photo that can be used; the text says why and what to do."""


@dataclass(frozen=True)
class ImageInfo:
    """What the decoder saw. Width and height in pixels, after EXIF rotation."""

    format: str
    width: int
    height: int


def decode(data: bytes, box: Box | None = None) -> Image.Image:
    """Decodes a photo, turns it upright, and crops `box` out of it. Returns an RGB image.

    16-bit grey is scaled to 8, CMYK converted, transparency laid over white; an animation gives its first frame.
    Raises ImageProblem: cut short or damaged, over `MAX_PIXELS`, none of `FORMATS`, a box that leaves the photo.
    """
    return decode_with_info(data, box)[1]


def decode_with_info(data: bytes, box: Box | None = None) -> tuple[ImageInfo, Image.Image]:
    """`decode` and `inspect` for the price of one. The info is that of the whole photo. Raises ImageProblem."""
    with opened(data) as image:
        kind = image.format or ""
        image.load()
        rgb = to_rgb(upright(image))
    info = ImageInfo(kind, rgb.width, rgb.height)
    if box is not None:
        check_box(box, info)
        rgb = rgb.crop(box)
    return info, rgb


def decode_small(data: bytes, *, shorter: int = 0, longer: int = 0) -> Image.Image:
    """`decode` for a photo that is made smaller anyway: a JPEG comes at a half, a quarter or an eighth of its size.

    It keeps at least `shorter` and `longer` pixels on its two sides, unless it has fewer. Raises ImageProblem.
    """
    with opened(data) as image:
        width, height = image.size
        enough = max(shorter / min(width, height), longer / max(width, height))
        if enough < 1:  # the size asked for is met or surpassed; formats other than JPEG stay as they are
            image.draft(None, (math.ceil(width * enough), math.ceil(height * enough)))
        image.load()
        turn = TURNS.get(orientation(image))
        shrink = round(width / image.width)
        rgb: Image.Image = image
        if (image.width * shrink, image.height * shrink) != (width, height):
            # The last column or row lies partly outside of the photo: left there, it would shift all others.
            rgb = image.resize(image.size, Image.Resampling.BICUBIC, box=(0, 0, width / shrink, height / shrink))
        return to_rgb(rgb if turn is None else rgb.transpose(turn))


def inspect(data: bytes) -> ImageInfo:
    """Decodes every pixel, so that a photo cut short is found out (`verify` would accept it). Raises ImageProblem."""
    with opened(data) as image:
        kind = image.format or ""
        image.load()
        size = upright_size(image)
    return ImageInfo(kind, *size)


def image_size(source: bytes | Path) -> tuple[int, int] | None:
    """(width, height) in pixels after EXIF rotation, from the header alone; None for what is no photo."""
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
        with opened(data) as image:
            return upright_size(image)
    except (ImageProblem, OSError):
        return None


def thumbnail(source: bytes | Image.Image, size: int, box: Box | None = None) -> bytes:
    """A WebP of at most `size` x `size` pixels, never enlarged, of a file's bytes or a decoded RGB image.

    A JPEG is decoded at a fraction of its size where that is enough. Raises ImageProblem.
    """
    if isinstance(source, Image.Image):
        rgb = source.crop(box) if box is not None else source
    else:
        rgb = reduced(source, size, box)
    scale = min(1.0, size / max(rgb.size))
    target = (max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale)))
    if target != rgb.size:
        rgb = rgb.resize(target, Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    rgb.save(buffer, "WEBP", quality=WEBP_QUALITY, method=WEBP_METHOD)
    return buffer.getvalue()


def reduced(data: bytes, size: int, box: Box | None) -> Image.Image:
    """The photo or its box as RGB, at no less than twice `size` on its longer side unless it is smaller itself."""
    with opened(data) as image:
        info = ImageInfo(image.format or "", *upright_size(image))
        if box is not None:
            check_box(box, info)
        x_1, y_1, x_2, y_2 = box or (0, 0, info.width, info.height)
        enough = 2 * size / max(x_2 - x_1, y_2 - y_1)
        if enough < 1 and min(x_2 - x_1, y_2 - y_1) * enough >= 1:
            # Does nothing to formats other than JPEG. The size asked for is met or surpassed.
            image.draft(None, (int(image.width * enough) + 1, int(image.height * enough) + 1))
        image.load()
        rgb = to_rgb(upright(image))
    if box is None:
        return rgb
    across, down = rgb.width / info.width, rgb.height / info.height
    left, top = min(int(x_1 * across), rgb.width - 1), min(int(y_1 * down), rgb.height - 1)
    right, bottom = max(left + 1, round(x_2 * across)), max(top + 1, round(y_2 * down))
    return rgb.crop((left, top, min(right, rgb.width), min(bottom, rgb.height)))


@contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """The photo, its header read and judged but no pixel decoded. What goes wrong inside becomes an ImageProblem."""
    if not data:
        raise ImageProblem("The file is empty. Export or copy it again.")
    try:
        with Image.open(io.BytesIO(data), formats=TRIED) as image:
            if image.width * image.height > MAX_PIXELS or max(image.size) > MAX_SIDE:
                raise ImageProblem(too_large(f"{image.width} x {image.height} pixels"))
            yield image
    except (ImageProblem, MemoryError):
        raise
    except Image.DecompressionBombError:  # Pillow's own limit is judged first, and is twice as high
        raise ImageProblem(too_large("far too many pixels")) from None
    except UnidentifiedImageError:
        kinds = "JPEG, PNG, WebP, GIF, BMP, TIFF"
        raise ImageProblem(
            f"This is no photo in a format that can be read ({kinds}). Convert it, or leave it out."
        ) from None
    except Exception as error:  # damaged files make Pillow raise nearly anything: OSError, SyntaxError, struct.error
        raise ImageProblem(f"The photo is damaged or cut short ({error}). Export or copy it again.") from error


def too_large(size: str) -> str:
    return f"The photo has {size}; at most {MAX_PIXELS // 1_000_000} million are read. Make it smaller."


def check_box(box: Box, info: ImageInfo) -> None:
    x_1, y_1, x_2, y_2 = box
    if not (0 <= x_1 < x_2 <= info.width and 0 <= y_1 < y_2 <= info.height):
        size = f"{info.width} x {info.height} pixels"
        raise ImageProblem(f"The box {x_1}, {y_1}, {x_2}, {y_2} does not lie inside the photo of {size}. Draw it anew.")


def orientation(image: Image.Image) -> int:
    """1 to 8 as EXIF counts; 1, as it lies, where there is none. Unreadable EXIF is no reason to refuse a photo."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except MemoryError:
        raise
    except Exception:
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def upright(image: Image.Image) -> Image.Image:
    """A loaded photo, turned as its EXIF says."""
    method = TURNS.get(orientation(image))
    return image if method is None else image.transpose(method)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) that `upright` will give, loaded or not."""
    # Pillow's TIFF reader turns photos itself, and names the turned size from the start.
    turned = image.format != "TIFF" and orientation(image) >= 5
    return (image.height, image.width) if turned else (image.width, image.height)


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: what is transparent shows white, and 16-bit grey keeps its whole range."""
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(scaled_grey(np.asarray(image))).convert("RGB")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        ground = Image.new("RGB", image.size, WHITE)
        ground.paste(rgba, mask=rgba.getchannel("A"))
        return ground
    return image if image.mode == "RGB" else image.convert("RGB")


def scaled_grey(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """`(H, W)` grey of 16 or 32 bits, or floats, as 8 bits. Pillow's own conversion would clip it at 255.

    uint16 by 65535. Whole numbers of 32 bits: as 8 bits if none is over 255, else as 16 bits if none is over 65535.
    Whatever lies beyond, and floats, by their own range, for their unit is not known.
    """
    if values.size == 0:
        return np.zeros(values.shape, dtype=np.uint8)
    if values.dtype == np.uint16:
        table: NDArray[np.uint8] = np.rint(np.arange(65536) / 257).astype(np.uint8)
        scaled: NDArray[np.uint8] = table[values]
        return scaled
    wide = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    low, high = float(wide.min()), float(wide.max())
    if values.dtype.kind in "iu" and low >= 0:
        low, high = 0.0, 255.0 if high <= 255 else 65535.0 if high <= 65535 else high
    if high <= low:
        return np.zeros(values.shape, dtype=np.uint8)
    wide -= low
    wide *= 255.0 / (high - low)
    return np.clip(np.rint(wide), 0, 255).astype(np.uint8)
