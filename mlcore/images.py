"""From the bytes of a file to the right RGB photo, or to a clear refusal. No torch.

Every path into Kindred decodes here: the upload, the training, the report and the API.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO")
MAX_PIXELS = 100_000_000

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

    16-bit grey is scaled, transparency is laid over white, an animation gives its first frame.
    Raises ImageProblem.
    """
    return _decode(data, box)[1]


def inspect(data: bytes) -> ImageInfo:
    """Decodes a photo fully, so that a truncated one is found out. Raises ImageProblem."""
    kind, image = _decode(data, None)
    return ImageInfo(kind, image.width, image.height)


def thumbnail(data: bytes, size: int, box: Box | None = None) -> bytes:
    """A WebP of at most `size` x `size` pixels. Raises ImageProblem."""
    image = decode(data, box)
    image.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=82, method=2)
    return buffer.getvalue()


def _decode(data: bytes, box: Box | None) -> tuple[str, Image.Image]:
    if not data:
        raise ImageProblem("The file is empty. Upload it again.")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            kind = image.format or ""
            if image.width * image.height > MAX_PIXELS:  # before a single pixel is decoded
                raise ImageProblem(_too_large(f"{image.width} x {image.height} pixels"))
            image.load()
            upright = ImageOps.exif_transpose(image)
            rgb = _to_rgb(upright)
    except ImageProblem:
        raise
    except Image.DecompressionBombError:
        raise ImageProblem(_too_large("too many pixels")) from None
    except UnidentifiedImageError:
        raise ImageProblem("Not a photo in a format that Kindred reads (JPEG, PNG, WebP, GIF, BMP, TIFF).") from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:  # what Pillow raises on damaged files
        raise ImageProblem(f"The photo is damaged or cut short ({error}). Export or copy it again.") from None
    if box is not None:
        x_1, y_1, x_2, y_2 = box
        if not (0 <= x_1 < x_2 <= rgb.width and 0 <= y_1 < y_2 <= rgb.height):
            raise ImageProblem(f"The box {box} does not lie inside the photo of {rgb.width} x {rgb.height} pixels.")
        rgb = rgb.crop(box)
    return kind, rgb


def _too_large(size: str) -> str:
    return f"The photo has {size}; at most {MAX_PIXELS // 1_000_000} million are read. Make it smaller."


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith(("I", "F")):
        return _scaled_grey(image)
    if "A" in image.mode or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _scaled_grey(image: Image.Image) -> Image.Image:
    """16 and 32-bit grey to 8 bits by its range; Pillow's own conversion would clip at 255."""
    values = np.asarray(image, dtype=np.float64)
    if image.mode == "F":
        low, high = float(values.min()), float(values.max())
    else:
        low, high = 0.0, 65535.0 if values.max() > 255 or image.mode.startswith("I;16") else 255.0
    scaled = (values - low) * (255.0 / (high - low)) if high > low else np.zeros_like(values)
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8)).convert("RGB")
