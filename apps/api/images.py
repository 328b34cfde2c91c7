"""Images as programs send them: multipart files, base64, data URIs."""

import base64
import binascii
from typing import Any

from rest_framework.request import Request

from apps.core.errors import BadInput

MAX_IMAGES = 32
MAX_IMAGE_BYTES = 20 * 2**20


def decode_base64(text: str, place: str) -> bytes:
    """The bytes behind base64 or a `data:...;base64,` URI. Addresses are not fetched. Raises BadInput."""
    if text.startswith(("http://", "https://")):
        raise BadInput(f"{place} is an address; Kindred fetches none.", remedy="Send the image itself, in base64.")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadInput(f"{place} is not base64.", remedy="Encode the image's bytes, without line breaks.") from None


def images_of(request: Request, value: Any) -> list[bytes]:
    """Every image of a request: its multipart files `image`, else `value`, one or a list. Raises BadInput."""
    files = request.FILES.getlist("image")
    texts = [value] if isinstance(value, str) else value
    count = len(files) if files else len(texts) if isinstance(texts, list) else 0
    if not 1 <= count <= MAX_IMAGES:
        remedy = f"Send 1 to {MAX_IMAGES} images: files named image, or base64 in the body."
        raise BadInput(f"The request holds {count} images.", remedy=remedy)
    for number, file in enumerate(files):
        if (file.size or 0) > MAX_IMAGE_BYTES:
            raise too_large(f"Image {number}")
    if files:
        return [file.read() for file in files]
    images = []
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise BadInput(f"Image {number} is not text.", remedy="Send base64 or a data URI.")
        if len(text) > MAX_IMAGE_BYTES * 4 // 3 + 100:
            raise too_large(f"Image {number}")
        images.append(decode_base64(text, f"Image {number}"))
    return images


def too_large(place: str) -> BadInput:
    return BadInput(
        f"{place} is larger than {MAX_IMAGE_BYTES // 2**20} MiB.", remedy="Make it smaller; any size will do."
    )
