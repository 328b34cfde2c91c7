"""Every odd photo becomes the right RGB one, or a clear refusal (TRAPS.md, data)."""

import contextlib
import io
import struct
import subprocess
import sys
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mlcore.images import (
    FORMATS,
    MAX_PIXELS,
    ImageInfo,
    ImageProblem,
    decode,
    decode_small,
    decode_with_info,
    image_size,
    inspect,
    scaled_grey,
    thumbnail,
)

GROCERY = Path(__file__).parents[3] / "shared" / "data" / "grocery.zip"
OMNIGLOT = GROCERY.with_name("omniglot_small1.zip")


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(width: int = 64, height: int = 48) -> Image.Image:
    across = np.linspace(0, 255, width, dtype=np.uint8)
    down = np.linspace(0, 255, height, dtype=np.uint8)
    planes = [np.tile(across, (height, 1)), np.tile(down[:, None], (1, width)), np.full((height, width), 90, np.uint8)]
    return Image.fromarray(np.stack(planes, axis=2))


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def pixel(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    value = image.getpixel((x, y))
    assert isinstance(value, tuple)
    return value


def run_fresh(code: str, path: Path) -> str:
    """What another Python process prints."""
    command = [sys.executable, "-c", code, str(path)]
    result = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG"])
def test_formats(kind: str) -> None:
    data = encoded(gradient(), kind)
    image = decode(data)
    assert (image.mode, image.size) == ("RGB", (64, 48))
    assert inspect(data) == ImageInfo(kind, 64, 48) == decode_with_info(data)[0]
    difference = np.abs(np.asarray(image, dtype=int) - np.asarray(gradient(), dtype=int))
    assert difference.mean() < 12


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_read_by_a_fresh_process(kind: str, tmp_path: Path) -> None:
    """Pillow loads its plugins as it goes, so that an earlier test could hide one that is missing."""
    path = tmp_path / "photo"
    path.write_bytes(encoded(gradient(), kind))
    code = "import sys; from mlcore.images import inspect; print(inspect(open(sys.argv[1], 'rb').read()).width)"
    assert run_fresh(code, path) == "64"


def test_no_torch_comes_along(tmp_path: Path) -> None:
    code = "import sys, mlcore.images, mlcore.table, mlcore.manifest; print({'torch', 'faiss'} & set(sys.modules))"
    assert run_fresh(code, tmp_path) == "set()"


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    values = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    grey = np.asarray(decode(encoded(Image.fromarray(values), kind)))[..., 0]
    np.testing.assert_array_equal(grey.ravel(), np.rint(values.ravel() / 257))


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_is_scaled_not_clipped(channels: int) -> None:
    levels = np.linspace(0, 65535, 32, dtype=np.uint16)
    pixels = np.repeat(levels[None, :, None], channels, axis=2)
    pixels[..., 3:] = 65535  # opaque
    colour = np.asarray(decode(deep_png(pixels)))
    assert np.abs(colour[0, :, 0].astype(int) - np.rint(levels / 257)).max() <= 1  # Pillow keeps the upper byte
    assert (colour[..., 0] == colour[..., 2]).all()


def deep_png(pixels: NDArray[np.uint16]) -> bytes:
    """`(H, W, 3 or 4)` as a PNG of 16 bits a channel, which Pillow does not write."""
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_other_deep_greys() -> None:
    assert scaled_grey(np.array([[0, 255]], dtype=np.int32)).tolist() == [[0, 255]]
    assert scaled_grey(np.array([[0, 65535]], dtype=np.int32)).tolist() == [[0, 255]]
    assert scaled_grey(np.array([[0, 1_000_000]], dtype=np.int32)).tolist() == [[0, 255]]
    assert scaled_grey(np.array([[-1.0, 0.0, 1.0, np.nan]], dtype=np.float32)).tolist() == [[0, 128, 255, 128]]
    assert scaled_grey(np.full((1, 2), 0.7, dtype=np.float32)).tolist() == [[0, 0]]


def test_cmyk() -> None:
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    for kind in ("JPEG", "TIFF"):
        r, g, b = pixel(decode(encoded(red, kind)), 4, 4)
        assert r > 240
        assert max(g, b) < 15


def test_transparency_shows_white() -> None:
    half = gradient().convert("RGBA")
    half.putalpha(Image.new("L", half.size, 0))
    assert pixel(decode(encoded(half, "PNG")), 0, 0) == (255, 255, 255)
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([10, 20, 30, 200, 0, 0])
    palette.putpixel((0, 0), 0)
    image = decode(encoded(palette, "PNG", transparency=0))
    assert pixel(image, 0, 0) == (255, 255, 255)
    assert pixel(image, 5, 5) == (200, 0, 0)
    keyed = Image.new("RGB", (8, 8), (0, 255, 0))  # one colour named transparent, without an alpha channel
    assert pixel(decode(encoded(keyed, "PNG", transparency=(0, 255, 0))), 3, 3) == (255, 255, 255)
    grey = Image.new("LA", (8, 8), (0, 128))
    assert pixel(decode(encoded(grey, "PNG")), 3, 3) == (127, 127, 127)


def test_one_bit() -> None:
    image = Image.new("1", (8, 8), 1)
    image.putpixel((2, 2), 0)
    decoded = decode(encoded(image, "PNG"))
    assert pixel(decoded, 2, 2) == (0, 0, 0)
    assert pixel(decoded, 3, 3) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(kind: str, orientation: int) -> None:
    upright = gradient()
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, kind, exif=exif)
    image = decode(data)
    assert np.abs(np.asarray(image, dtype=int) - np.asarray(upright, dtype=int)).mean() < 6
    assert (inspect(data).width, inspect(data).height) == (64, 48) == image_size(data)
    assert decode(data, (0, 0, 64, 10)).size == (64, 10)
    assert Image.open(io.BytesIO(thumbnail(data, 32))).size == (32, 24)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_exif_is_no_reason_to_refuse() -> None:
    data = encoded(gradient(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40)
    assert decode(data).size == (64, 48)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_of_an_animation_the_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (32, 24), colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    r, g, b = pixel(decode(data), 16, 12)
    assert r > 230
    assert max(g, b) < 20


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_cut_short(kind: str, share: float) -> None:
    data = encoded(noise(96, 96), kind)
    for read in (inspect, decode, lambda part: thumbnail(part, 16)):
        with pytest.raises(ImageProblem):
            read(data[: int(len(data) * share)])


def test_a_progressive_jpeg_cut_short() -> None:
    data = encoded(noise(200, 200), "JPEG", progressive=True)
    with pytest.raises(ImageProblem, match="damaged or cut short"):
        inspect(data[: len(data) * 2 // 3])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"just words\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<!doctype html><p>",
        b"%PDF-1.7",
        b"\xff\xd8",
    ],
)
def test_what_is_no_photo(data: bytes) -> None:
    with pytest.raises(ImageProblem):
        inspect(data)
    assert image_size(data) is None


@pytest.mark.parametrize("kind", ["ICO", "PPM", "TGA", "PCX"])
def test_formats_off_the_list_are_refused(kind: str) -> None:
    assert kind not in FORMATS
    with pytest.raises(ImageProblem, match="no photo in a format"):
        inspect(encoded(gradient(), kind))


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def huge_png(side: int = 50_000) -> bytes:
    """A valid one-bit PNG of side x side, all black: a few hundred kilobytes that would decode to gigabytes."""

    packer = zlib.compressobj(1)
    row = b"\0" * (1 + side // 8)
    body = b"".join(packer.compress(row * 500) for _ in range(side // 500)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(huge_png())
    code = """
import resource, sys
from mlcore.images import ImageProblem, decode, image_size, inspect, thumbnail
data = open(sys.argv[1], "rb").read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for read in (inspect, decode, lambda data: thumbnail(data, 160)):
    try:
        read(data)
    except ImageProblem as problem:
        assert "million" in str(problem), problem
    else:
        raise SystemExit("not refused")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    assert int(run_fresh(code, path)) * 1024 < 50e6  # ru_maxrss counts kilobytes on Linux


def test_a_little_over_the_limit_is_refused_too() -> None:
    side = int(MAX_PIXELS**0.5) // 8 * 8 + 8
    with pytest.raises(ImageProblem, match=f"{side} x {side} pixels"):
        inspect(huge_png(side))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(640, 480), (701, 503), (1203, 90), (40, 30)])
def test_decoded_small(size: tuple[int, int], orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(gradient(*size), "JPEG", quality=95, exif=exif)
    whole = decode(data)
    for needs in ({"shorter": 60}, {"longer": 100}, {"shorter": 30, "longer": 350}):
        small = decode_small(data, **needs)
        assert small.mode == "RGB"
        assert min(small.size) >= min(*whole.size, needs.get("shorter", 0))
        assert max(small.size) >= min(max(whole.size), needs.get("longer", 0))
        expected = whole.resize(small.size, Image.Resampling.BOX)
        difference = np.abs(np.asarray(small, dtype=int) - np.asarray(expected, dtype=int))
        assert difference.mean() < 1  # a photo that was shifted by a pixel would differ by more
    reduced = decode_small(encoded(gradient(640, 480), "JPEG"), shorter=60)
    assert reduced.size == (80, 60)
    assert decode_small(encoded(gradient(640, 480), "PNG"), shorter=60).size == (640, 480)


def test_decoding_small_refuses_what_decoding_refuses() -> None:
    data = encoded(noise(400, 300), "JPEG")
    for broken in (b"", data[: len(data) // 2], huge_png()):
        with pytest.raises(ImageProblem):
            decode_small(broken, shorter=20)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_jpegs_decoded_small(mode: str) -> None:
    small = decode_small(encoded(gradient(643, 481).convert(mode), "JPEG", quality=95), shorter=100)
    expected = gradient(643, 481).convert(mode).convert("RGB").resize(small.size, Image.Resampling.BOX)
    assert small.size == (161, 121)
    assert np.abs(np.asarray(small, dtype=int) - np.asarray(expected, dtype=int)).mean() < 2


def test_boxes() -> None:
    data = encoded(gradient(), "PNG")
    assert decode(data, (10, 20, 30, 48)).size == (20, 28)
    assert pixel(decode(data, (10, 20, 30, 48)), 0, 0) == pixel(gradient(), 10, 20)
    for box in [(-1, 0, 5, 5), (0, 0, 65, 5), (5, 5, 5, 9), (9, 0, 3, 5), (0, 0, 5, 49)]:
        with pytest.raises(ImageProblem, match="does not lie inside"):
            decode(data, box)
        with pytest.raises(ImageProblem, match="does not lie inside"):
            thumbnail(data, 16, box)


def test_thumbnails() -> None:
    data = encoded(gradient(1600, 1200), "JPEG", quality=95)
    small = Image.open(io.BytesIO(thumbnail(data, 160)))
    assert (small.format, small.size) == ("WEBP", (160, 120))
    reference = gradient(1600, 1200).resize((160, 120), Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(small.convert("RGB"), dtype=int) - np.asarray(reference, dtype=int)).mean() < 4
    box = (800, 300, 1600, 900)
    boxed = Image.open(io.BytesIO(thumbnail(data, 100, box)))
    assert boxed.size == (100, 75)
    reference = gradient(1600, 1200).crop(box).resize((100, 75), Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(boxed.convert("RGB"), dtype=int) - np.asarray(reference, dtype=int)).mean() < 4
    assert Image.open(io.BytesIO(thumbnail(encoded(gradient(), "PNG"), 640))).size == (64, 48)  # never enlarged
    assert Image.open(io.BytesIO(thumbnail(gradient(), 32, (0, 0, 64, 16)))).size == (32, 8)
    assert Image.open(io.BytesIO(thumbnail(encoded(gradient(1000, 2), "JPEG"), 10))).size == (10, 1)


def test_threads_see_the_same() -> None:
    photos = [encoded(gradient(40 + number, 30), "JPEG") for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda data: decode(data).width, photos))
    assert sizes == list(range(40, 80))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_random_damage_never_gives_another_error() -> None:
    rng = np.random.default_rng(0)
    for kind in FORMATS:
        sound = encoded(noise(40, 30), kind)
        for _ in range(60):
            broken = bytearray(sound)
            for place in rng.integers(0, len(broken), 6):
                broken[place] = rng.integers(0, 256)
            with contextlib.suppress(ImageProblem):
                assert decode(bytes(broken)).mode == "RGB"


@pytest.mark.skipif(not GROCERY.exists(), reason="../shared/data is absent")
def test_real_photos() -> None:
    with zipfile.ZipFile(GROCERY) as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")][::50]
        for name in names:
            info = inspect(archive.read(name))
            assert min(info.width, info.height) == 192
    with zipfile.ZipFile(OMNIGLOT) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".png"))
        values = set(np.asarray(decode(archive.read(name))).ravel().tolist())
        assert values == {0, 255}
