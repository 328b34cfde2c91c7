"""The addresses of the inference process: /health, /embed, /search. Every one needs the site's key."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from hmac import compare_digest
from typing import Any, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from torch import Tensor

from apps.search import secret
from apps.search.inference.batcher import Batcher
from apps.search.inference.catalogue import Catalogue, VersionFacts
from apps.search.inference.problems import OtherSpace, Problem, TooLarge, Unauthorised, Unknown, Unusable
from apps.search.inference.requests import SearchRequest, parse_embed, parse_search
from apps.search.inference.shelf import Shelf
from mlcore.errors import InputError, SpaceMismatch
from mlcore.images import Box, ImageProblem
from mlcore.index import FlatIndex
from mlcore.model import Embedder

log = structlog.get_logger(__name__)

BODY_BYTES_MAX = 64 * 2**20
DATABASE_THREADS = 2
T = TypeVar("T")


class Inference:
    """The parts together. Each kind of blocking work has threads of its own, so that none starves another."""

    def __init__(self) -> None:
        self.catalogue = Catalogue()
        self.shelf = Shelf()
        self.batcher = Batcher()
        self.started = time.monotonic()
        cores = len(os.sched_getaffinity(0))
        self.photos = ThreadPoolExecutor(min(8, cores), thread_name_prefix="photos")  # decoding: memory for each
        self.loader = ThreadPoolExecutor(1, thread_name_prefix="loader")  # `Shelf` is for one thread
        self.database = ThreadPoolExecutor(DATABASE_THREADS, thread_name_prefix="database")
        self.searcher = ThreadPoolExecutor(min(4, cores), thread_name_prefix="searcher")

    async def facts(self, version: int) -> VersionFacts:
        recent = self.catalogue.recent(version)
        if recent is not None:
            return recent
        try:
            return await in_thread(self.database, self.catalogue.version, version)
        except Unknown:
            self.shelf.forget(version)
            raise

    async def model(self, facts: VersionFacts) -> Embedder:
        held = self.shelf.peek_model(facts)
        return held if held is not None else await in_thread(self.loader, self.shelf.model, facts)

    async def index(self, facts: VersionFacts) -> FlatIndex:
        held = self.shelf.peek_index(facts)
        return held if held is not None else await in_thread(self.loader, self.shelf.index, facts)

    async def vectors(self, embedder: Embedder, images: Sequence[bytes], box: Box | None = None) -> NDArray[np.float32]:
        """`(N, D)` float32 of unit length. Raises Unusable, naming the image by its place."""
        prepared = await asyncio.gather(
            *(
                in_thread(self.photos, prepare, embedder, image, box, place if len(images) > 1 else None)
                for place, image in enumerate(images)
            )
        )
        return np.stack(await self.batcher.embed(embedder, prepared))

    async def search(self, request: SearchRequest) -> list[tuple[int, float]]:
        """`(sample id, cosine)` pairs, best first."""
        facts = await self.facts(request.version)
        if request.vector is not None:
            query = vector_checked(request, facts)
        else:
            assert request.image is not None  # the request has one of the two
            query = (await self.vectors(await self.model(facts), [request.image], request.box))[0]
        index = await self.index(facts)
        allowed: NDArray[np.int64] | None = None
        if request.category is not None or request.label is not None:
            allowed = await in_thread(
                self.database, self.catalogue.allowed, facts.dataset_id, request.category, request.label
            )
        return await in_thread(self.searcher, nearest, index, query, request, allowed, facts.space)

    def close(self) -> None:
        for threads in (self.photos, self.loader, self.database, self.searcher):
            threads.shutdown(wait=False, cancel_futures=True)


async def in_thread(threads: ThreadPoolExecutor, function: Callable[..., T], *arguments: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(threads, function, *arguments)


def prepare(embedder: Embedder, data: bytes, box: Box | None, place: int | None) -> Tensor:
    """A photo's bytes -> `(3, S, S)` uint8: decoding and preprocessing, as everywhere."""
    try:
        return embedder.preprocess.read(data, box)
    except ImageProblem as problem:
        words = str(problem)
        raise Unusable(words if place is None else f"Image {place}: {words}") from None


def vector_checked(request: SearchRequest, facts: VersionFacts) -> NDArray[np.float32]:
    """The query of unit length. Raises OtherSpace, Unusable."""
    if request.space != facts.space:
        raise OtherSpace(
            f"The vector is of space {request.space}, {facts.name} of {facts.space}.",
            f"Embed the query with {facts.name}: distances between two spaces mean nothing.",
        )
    vector = np.asarray(request.vector, dtype=np.float32)
    if vector.shape != (facts.dimension,):
        raise Unusable(f"The vector has {len(vector)} numbers, its space {facts.dimension}.", "Send all of them.")
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if not np.isfinite(length) or length == 0:
        raise Unusable("The vector has no direction: it is zero or not finite.", "Embed the query again.")
    unit: NDArray[np.float32] = (vector / length).astype(np.float32)
    return unit


def nearest(
    index: FlatIndex,
    query: NDArray[np.float32],
    request: SearchRequest,
    allowed: NDArray[np.int64] | None,
    space: str,
) -> list[tuple[int, float]]:
    """The nearest `k` that are not excluded: as many more are asked for as might be left out."""
    excluded = set(request.exclude)
    try:
        found = index.search(query, request.k + len(excluded), allowed, space=space)
    except SpaceMismatch as error:
        raise OtherSpace(str(error)) from None
    except InputError as error:
        raise Unusable(error.message, "The model may be broken: train it again.") from None
    pairs = zip(found.ids[0].tolist(), found.scores[0].tolist(), strict=True)
    return [(pk, score) for pk, score in pairs if pk >= 0 and pk not in excluded][: request.k]


async def body_of(request: Request) -> bytes:
    """The body, refused as soon as it is known to be too large."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES_MAX:
            limit = BODY_BYTES_MAX // 2**20
            raise TooLarge(f"The request is larger than {limit} MiB.", "Send fewer or smaller photos at a time.")
        parts.append(part)
    return b"".join(parts)


def inference_of(request: Request) -> Inference:
    inference = request.app.state.inference
    assert isinstance(inference, Inference)
    return inference


async def health(request: Request) -> Response:
    inference = inference_of(request)
    answer = {
        "status": "ok",
        "pid": os.getpid(),
        "uptime_seconds": round(time.monotonic() - inference.started, 1),
        "waiting": len(inference.batcher.waiting),
        "batches": inference.batcher.batches,
        "photos": inference.batcher.photos,
        **inference.shelf.report(),
    }
    return JSONResponse(answer)


async def embed(request: Request) -> Response:
    inference = inference_of(request)
    asked = await in_thread(inference.photos, parse_embed, await body_of(request))
    facts = await inference.facts(asked.version)
    vectors = await inference.vectors(await inference.model(facts), asked.images)
    answer = {"space": facts.space, "dimension": facts.dimension, "vectors": vectors.tolist()}
    return JSONResponse(answer)


async def search(request: Request) -> Response:
    inference = inference_of(request)
    asked = await in_thread(inference.photos, parse_search, await body_of(request))
    return JSONResponse({"hits": await inference.search(asked)})


Endpoint = Callable[[Request], Awaitable[Response]]


def guarded(endpoint: Endpoint, key: str) -> Endpoint:
    """Lets in who has the key; turns a Problem into its answer."""

    async def guard(request: Request) -> Response:
        try:
            if not compare_digest(request.headers.get(secret.HEADER, "").encode(), key.encode()):
                raise Unauthorised("The key is missing or wrong.", "Both processes need the same SECRET_KEY.")
            return await endpoint(request)
        except Problem as problem:
            return JSONResponse({"detail": problem.detail, "remedy": problem.remedy}, problem.status)
        except Exception:
            log.exception("a request failed", path=request.url.path)
            answer = {"detail": "The inference process failed at this.", "remedy": "Its log says why."}
            return JSONResponse(answer, 500)

    return guard


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    inference = app.state.inference = Inference()
    serving = asyncio.create_task(inference.batcher.run())
    log.info("inference ready", device=inference.shelf.device)
    yield
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving
    inference.close()


def build_app() -> Starlette:
    """The application that uvicorn serves."""
    key = secret.token()
    return Starlette(
        routes=[
            Route("/health", guarded(health, key)),
            Route("/embed", guarded(embed, key), methods=["POST"]),
            Route("/search", guarded(search, key), methods=["POST"]),
        ],
        lifespan=lifespan,
    )
