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
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise BadInput(f"{place} is a data URI that is not base64.", remedy="Use data:image/...;base64,...")
    try:
        data = base64.b64decode("".join(text.split()), validate=True)  # the tool `base64` breaks its lines
    except (binascii.Error, ValueError):
        raise BadInput(f"{place} is not base64.", remedy="Encode the bytes of the image's file.") from None
    if not data:
        raise BadInput(f"{place} is empty.", remedy="Send the bytes of an image's file.")
    return data


def images_of(request: Request, value: Any) -> list[bytes]:
    """Every image of a request: its multipart files `image`, else `value`, one or a list. Raises BadInput."""
    files = request.FILES.getlist("image")
    texts = [value] if isinstance(value, str) else value
    count = len(files) if files else len(texts) if isinstance(texts, list) else 0
    if not 1 <= count <= MAX_IMAGES:
        remedy = f"Send 1 to {MAX_IMAGES} images: files named image, or base64 in the body."
        raise BadInput(f"The request holds {count} images.", remedy=remedy)
    if files:
        if any((file.size or 0) > MAX_IMAGE_BYTES for file in files):
            raise too_large("An image")
        return [file.read() for file in files]
    images = []
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise BadInput(f"Image {number} is not text.", remedy="Send base64 or a data URI.")
        data = decode_base64(text, f"Image {number}")
        if len(data) > MAX_IMAGE_BYTES:
            raise too_large(f"Image {number}")
        images.append(data)
    return images


def too_large(place: str) -> BadInput:
    limit = MAX_IMAGE_BYTES // 2**20
    return BadInput(f"{place} is larger than {limit} MiB.", remedy="Make it smaller; a thousand pixels are plenty.")
