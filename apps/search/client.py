"""The client of the inference process: embeddings and neighbours over its Unix socket (or `INFERENCE_URL`). No torch.

Raises Unavailable when the process is away, BadInput for a photo that cannot be read, WrongSpace for a vector of
another space. Every call may be made from several threads.
"""

import base64
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import httpx
from django.conf import settings

from apps.core.errors import BadInput, Conflict, KindredError, Unavailable
from apps.search import secret
from apps.zoo.models import ModelVersion

Box = tuple[int, int, int, int]

CONNECT_SECONDS = 2.0
IMAGES_PER_REQUEST = 32
BYTES_PER_REQUEST = 24 * 2**20  # of photos, before base64
AWAY = "The inference process does not answer."
AWAY_REMEDY = "It starts with the site (`make serve`), or alone by `manage.py inference`. Then try again."


class WrongSpace(Conflict):
    """The vector was made by something else than the index: their distances would mean nothing."""

    title = "Another space"


@dataclass(frozen=True, slots=True)
class Embeddings:
    """`vectors`: one list of `dimension` floats per image, of unit length, in the order of the images."""

    space: str
    dimension: int
    vectors: list[list[float]]


@dataclass(frozen=True, slots=True)
class Hit:
    """A neighbour. `score`: cosine similarity, 1 is the same; `distance`: 1 - score."""

    sample_id: int
    score: float
    distance: float


def embed(images: Sequence[bytes], version: ModelVersion) -> Embeddings:
    """Embeds photos, given as the bytes of their files."""
    vectors: list[list[float]] = []
    for part in _portions(images):
        body = {"version": version.pk, "images": [base64.b64encode(image).decode() for image in part]}
        vectors.extend(_call("POST", "/embed", body)["vectors"])
    return Embeddings(space=version.space, dimension=version.dimension, vectors=vectors)


def search(
    query: bytes | Sequence[float],
    version: ModelVersion,
    k: int = 10,
    category: str | None = None,
    label: str | None = None,
    box: Box | None = None,
    *,
    space: str | None = None,
    exclude: Sequence[int] = (),
) -> list[Hit]:
    """The `k` nearest samples of the version's active index, nearest first; equal ones by sample id.

    query: the bytes of a photo, cropped to `box` (pixels after EXIF rotation), or a vector with its `space`.
    category, label: only samples that have this name now. exclude: sample ids that are no answer.
    """
    body: dict[str, Any] = {"version": version.pk, "k": k, "category": category, "label": label}
    body["exclude"] = list(exclude)
    if isinstance(query, bytes):
        body |= {"image": base64.b64encode(query).decode(), "box": box}
    else:
        body |= {"vector": list(query), "space": space}
    hits = _call("POST", "/search", body)["hits"]
    return [Hit(sample_id, score, 1 - score) for sample_id, score in hits]


def health() -> dict[str, Any]:
    """What the process holds in memory, and what is wrong with it. Raises Unavailable."""
    return _call("GET", "/health")


def _portions(images: Sequence[bytes]) -> Iterator[list[bytes]]:
    part: list[bytes] = []
    size = 0
    for image in images:
        if part and (len(part) == IMAGES_PER_REQUEST or size + len(image) > BYTES_PER_REQUEST):
            yield part
            part, size = [], 0
        part.append(image)
        size += len(image)
    if part:
        yield part


@lru_cache(maxsize=4)
def _session(url: str, socket: str, seconds: float, process: int) -> httpx.Client:
    """One pool of connections per process. `process` is its id: a pool does not survive a fork."""
    transport = httpx.HTTPTransport(retries=1) if url else httpx.HTTPTransport(uds=socket, retries=1)
    timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS)
    return httpx.Client(base_url=url or "http://inference", transport=transport, timeout=timeout, trust_env=False)


def _call(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    session = _session(
        settings.INFERENCE_URL, str(settings.INFERENCE_SOCKET), settings.INFERENCE_TIMEOUT_SECONDS, os.getpid()
    )
    headers = {secret.HEADER: secret.token()}
    try:
        try:
            response = session.request(method, path, json=body, headers=headers)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            # A kept connection whose other end was restarted. Nothing here changes anything, so asking again is safe.
            response = session.request(method, path, json=body, headers=headers)
    except httpx.TimeoutException as error:
        raise Unavailable(
            f"The inference process took longer than {settings.INFERENCE_TIMEOUT_SECONDS} s.",
            remedy="It may be loading a model, or be very busy. Try again in a moment.",
        ) from error
    except httpx.TransportError as error:
        raise Unavailable(AWAY, remedy=AWAY_REMEDY) from error
    if response.status_code != httpx.codes.OK:
        raise _error(response)
    answer: dict[str, Any] = response.json()
    return answer


def _error(response: httpx.Response) -> KindredError:
    """The error that an answer stands for."""
    try:
        problem = response.json()
        detail, remedy = str(problem["detail"]), str(problem.get("remedy", ""))
    except (ValueError, KeyError, TypeError):
        return Unavailable(f"The inference process answered {response.status_code}.", remedy="Its log says why.")
    kind: type[KindredError] = {404: BadInput, 409: WrongSpace, 413: BadInput, 422: BadInput}.get(
        response.status_code, Unavailable
    )
    return kind(detail, remedy=remedy)
