"""Batches as they come: while one batch is in the network, what arrives waits, and is the next batch."""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from torch import Tensor

from apps.search.inference.problems import Away
from mlcore.model import Embedder

log = structlog.get_logger(__name__)

BATCH = 32
WAITING_MAX = 1024
Vector = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Waiting:
    embedder: Embedder
    photo: Tensor  # (3, S, S) uint8, preprocessed
    vector: "asyncio.Future[Vector]"  # (D,)


class Batcher:
    """One forward pass at a time, in a thread of its own, over at most `BATCH` photos of one model."""

    def __init__(self) -> None:
        self.waiting: deque[Waiting] = deque()
        self.batches = 0
        self.photos = 0
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="forward")

    async def embed(self, embedder: Embedder, photos: Sequence[Tensor]) -> list[Vector]:
        """One vector `(D,)` for each preprocessed photo, in their order. Raises Away when too many are waiting."""
        if len(self.waiting) + len(photos) > WAITING_MAX:
            raise Away(f"{len(self.waiting)} photos are waiting already.", "Try again in a few seconds.")
        loop = asyncio.get_running_loop()
        mine = [Waiting(embedder, photo, loop.create_future()) for photo in photos]
        self.waiting.extend(mine)
        self._arrived.set()
        try:
            return list(await asyncio.gather(*(item.vector for item in mine)))
        finally:
            for item in mine:  # whoever asked has gone: nobody computes it
                item.vector.cancel()

    async def run(self) -> None:
        """Serves until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._arrived.wait()
                batch = self._take()
                if not batch:
                    self._arrived.clear()
                    continue
                try:
                    vectors = await loop.run_in_executor(self._thread, forward, batch)
                except Exception as error:  # one bad batch must not end the serving
                    log.exception("a batch failed", photos=len(batch))
                    for item in batch:
                        if not item.vector.done():
                            item.vector.set_exception(Away(f"The network failed: {error}", "The log says more."))
                    continue
                self.batches += 1
                self.photos += len(batch)
                for item, vector in zip(batch, vectors, strict=True):
                    if not item.vector.done():
                        item.vector.set_result(vector)
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _take(self) -> list[Waiting]:
        """The oldest photo that somebody still waits for, with those of the same model, up to a batch."""
        batch: list[Waiting] = []
        others: deque[Waiting] = deque()
        while self.waiting and len(batch) < BATCH:
            item = self.waiting.popleft()
            if item.vector.done():
                continue
            if not batch or item.embedder is batch[0].embedder:
                batch.append(item)
            else:
                others.append(item)
        self.waiting.extendleft(reversed(others))
        return batch


def forward(batch: Sequence[Waiting]) -> NDArray[np.float32]:
    """`(B, D)` float32."""
    return batch[0].embedder.embed_batch(torch.stack([item.photo for item in batch]))
