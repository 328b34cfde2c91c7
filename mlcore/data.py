"""Rows of a manifest as tensors, the same whoever reads them and however many read at once.

Photos are decoded by threads, for Pillow lets others run meanwhile, and there is nothing to start, to send or to leave
behind. What was decoded once is kept in the cache.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlcore.augment import Augmenter, draw, source_squares
from mlcore.cache import PhotoCache, Say, content_key
from mlcore.config import Augment
from mlcore.errors import InputError
from mlcore.images import Box, ImageProblem
from mlcore.preprocess import Preprocessor
from mlcore.samplers import shard

T = TypeVar("T")
Source = Callable[[str], bytes]  # image key -> the file's bytes
THREADS_MAX = 16
BATCHES_AHEAD = 3  # prepared while an accelerator works


def auto_workers(asked: int) -> int:
    """Threads that decode photos: `asked`, or for 0 as many as there are cores, at most 16."""
    return asked or min(THREADS_MAX, len(os.sched_getaffinity(0)))


def batches_ahead(device: str) -> int:
    """How many batches to prepare while one is computed.

    None on a CPU: the network has all its cores busy as it is, and to decode beside it would take the time from there.
    """
    return 0 if torch.device(device).type == "cpu" else BATCHES_AHEAD


def row_boxes(manifest: pd.DataFrame) -> list[Box | None]:
    """The box of each row, None for a whole photo."""
    columns = [manifest[name].tolist() for name in ("x_1", "y_1", "x_2", "y_2")]
    return [
        None if pd.isna(x_1) else (int(x_1), int(y_1), int(x_2), int(y_2))
        for x_1, y_1, x_2, y_2 in zip(*columns, strict=True)
    ]


class Photos:
    """Photos of a manifest, cropped to their box and preprocessed. For one thread at a time; `close` it after use."""

    def __init__(
        self,
        manifest: pd.DataFrame,
        source: Source,
        preprocess: Preprocessor,
        *,
        workers: int = 0,
        cache: PhotoCache | None = None,
    ) -> None:
        self.keys: list[str] = manifest["image_key"].tolist()
        self.paths: list[str] = manifest["path"].tolist()
        self.sha256: list[str] = manifest["sha256"].tolist()
        self.boxes = row_boxes(manifest)
        self.contents = [content_key(*pair) for pair in zip(self.sha256, self.boxes, strict=True)]
        self.source, self.preprocess, self.cache = source, preprocess, cache
        self.threads = ThreadPoolExecutor(auto_workers(workers), thread_name_prefix="photos")
        if cache is not None:
            cache.reserve(self.contents)

    def __len__(self) -> int:
        return len(self.keys)

    def close(self) -> None:
        self.threads.shutdown(cancel_futures=True)
        if self.cache is not None:
            self.cache.close()

    def read(self, row: int) -> tuple[NDArray[np.uint8], bool]:
        """`(S, S, 3)`, and whether the bytes are those that the manifest names: others are not kept under that name.

        Raises InputError, naming the file, for a photo that is gone or damaged.
        """
        try:
            data = self.source(self.keys[row])
            square: NDArray[np.uint8] = self.preprocess.read(data, self.boxes[row]).permute(1, 2, 0).numpy()
        except (ImageProblem, OSError) as error:
            raise InputError(f"{self.paths[row]}: {error}") from None
        return square, self.cache is not None and hashlib.sha256(data).hexdigest() == self.sha256[row]

    def squares(self, rows: Sequence[int]) -> Tensor:
        """`(B, S, S, 3)` uint8 of some rows: from the cache, or decoded and then kept there."""
        size = self.preprocess.config.size
        squares = np.empty((len(rows), size, size, 3), dtype=np.uint8)
        places = list(range(len(rows)))
        if self.cache is not None:
            places = self.cache.fill([self.contents[row] for row in rows], squares)
        lacking = sorted({rows[place] for place in places})
        found = dict(zip(lacking, self.threads.map(self.read, lacking), strict=True))
        for place in places:
            squares[place] = found[rows[place]][0]
        fresh = {content: found[row][0] for row in lacking if found[row][1] and (content := self.contents[row])}
        if self.cache is not None and fresh:
            self.cache.put(list(fresh), list(fresh.values()))
        return torch.from_numpy(squares)

    def batches(self, plan: Iterable[Sequence[int]], device: str) -> Generator[Tensor]:
        """`squares` of one list of rows after another, on `device`."""
        on_cuda = torch.device(device).type == "cuda"
        made = (self.squares(rows) for rows in plan)
        if on_cuda:
            made = (squares.pin_memory() for squares in made)
        with closing(prepared(made, batches_ahead(device))) as batches:
            for squares in batches:
                yield squares.to(device, non_blocking=True)


def prepared(items: Iterator[T], count: int) -> Generator[T]:
    """The same items; a thread prepares up to `count` of them ahead. What fails there is raised here, in its turn."""
    if count == 0:
        yield from items
        return
    end = object()
    waiting: deque[Future[T | object]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
        try:
            waiting.extend(thread.submit(next, items, end) for _ in range(count))
            while (item := waiting.popleft().result()) is not end:
                waiting.append(thread.submit(next, items, end))
                yield item  # type: ignore[misc]
        finally:
            for future in waiting:
                future.cancel()


def open_cache(cache_dir: Path | None, preprocess: Preprocessor, on_message: Say) -> PhotoCache | None:
    """The cache of what `preprocess` makes, below `cache_dir`; without a folder there is none."""
    if cache_dir is None:
        return None
    return PhotoCache(cache_dir, preprocess.variant, preprocess.config.size, on_message)


def training_batches(
    manifest: pd.DataFrame,
    plan: Iterable[Sequence[int]],
    *,
    source: Source,
    preprocess: Preprocessor,
    augment: Augment,
    first_step: int,
    seed: int,
    device: str = "cpu",
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
    cache_dir: Path | None = None,
    on_message: Say = lambda text: None,
) -> Generator[Tensor]:
    """Yields `(B, 3, S, S)` float32 for each batch of row numbers: augmented, normalised, channels last, on `device`.

    plan: whole batches, of which this process, `rank` of `world`, gets its shard; it is gone through twice.
    first_step: the number of the first.
    cache_dir: where decoded photos are kept. on_message: told, in words, when they cannot be.
    Raises InputError, naming the file, for a photo that is gone or damaged.
    """
    larger = Preprocessor(source_squares(preprocess.config, augment))
    augmenter = Augmenter(preprocess.config, device)
    cache = open_cache(cache_dir, larger, on_message)
    with closing(Photos(manifest, source, larger, workers=workers, cache=cache)) as photos:
        shards = (shard(list(rows), rank, world) for rows in plan)
        with closing(photos.batches(shards, device)) as batches:
            for step, (squares, rows) in enumerate(zip(batches, plan, strict=True), first_step):
                places = shard(list(range(len(rows))), rank, world)
                draws = draw(augment, seed=seed, step=step, places=places)
                yield augmenter(squares, draws)
