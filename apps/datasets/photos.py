"""Photos in the storage: kept once under their content's SHA-256, and shown as thumbnails."""

import contextlib
import errno
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from apps.core.errors import DiskFull
from apps.datasets.models import Image, Sample
from mlcore.images import inspect, thumbnail

THUMB_SIZES = (160, 320, 640)  # pixels, of the longer side
# A photo within the limits may take 0.8 GB while it is decoded: more than this many at once wait, in each process.
DECODERS = threading.BoundedSemaphore(2)
CONTENT_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
}


@dataclass(frozen=True)
class PhotoFacts:
    """What is known of a photo after it was decoded. Width and height in pixels, after EXIF rotation."""

    sha256: str
    format: str
    width: int
    height: int
    size_bytes: int


def photo_facts(data: bytes) -> PhotoFacts:
    """Decodes a photo fully and hashes it. Raises mlcore.images.ImageProblem."""
    info = inspect(data)
    return PhotoFacts(hashlib.sha256(data).hexdigest(), info.format, info.width, info.height, len(data))


def image_key(sha256: str) -> str:
    return Image(sha256=sha256).key


def photo_store(data: bytes, sha256: str) -> None:
    """Keeps a photo under its hash. Writes nothing where it is already. Raises DiskFull."""
    key = image_key(sha256)
    with disk_full_explained():
        _write_once(key, data)


def _write_once(key: str, data: bytes) -> None:
    if default_storage.exists(key):  # and what exists is whole: the storage names only complete files
        return
    saved = default_storage.save(key, ContentFile(data))
    if saved != key:  # somebody else wrote it meanwhile, and the storage gave ours another name
        default_storage.delete(saved)


@contextlib.contextmanager
def disk_full_explained() -> Iterator[None]:
    """Turns the system's "no space left" into an error that people understand."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(
            "There is no space left for these files.",
            remedy="Free some space on the server's data disk, then try again. Nothing is half written.",
        ) from error


def thumb_key(sample: Sample, size: int) -> str:
    """Where a sample's thumbnail lies: the same photo and box share one, in whatever dataset."""
    box = sample.box
    suffix = "" if box is None else "-" + "-".join(map(str, box))
    sha256 = sample.image.sha256
    return f"thumbs/{size}/{sha256[:2]}/{sha256}{suffix}.webp"


def thumb_read(sample: Sample, size: int) -> bytes:
    """The WebP of a sample's photo, cut to its box; made and kept when it is first asked for.

    Raises mlcore.images.ImageProblem, FileNotFoundError when the photo is gone from the storage.
    """
    key = thumb_key(sample, size)
    with contextlib.suppress(FileNotFoundError), default_storage.open(key) as file:
        kept: bytes = file.read()
        if kept:
            return kept
    with DECODERS, default_storage.open(sample.image.key) as file:
        data = thumbnail(file.read(), size, sample.box)
    # A thumbnail that cannot be kept is still shown.
    with contextlib.suppress(OSError):
        _write_once(key, data)
    return data
