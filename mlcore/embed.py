"""Embeddings of every row of a manifest."""

import os
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from mlcore.data import Photos, Source
from mlcore.events import ShouldStop
from mlcore.model import Embedder

OnProgress = Callable[[int, int], None]


class Stopped(Exception):  # noqa: N818
    """The caller asked to stop; there is no result."""


def auto_workers(asked: int) -> int:
    """Processes that read images: `asked`, or for 0 one fewer than there are cores, between 1 and 8.

    On two cores one reader beside two threads of arithmetic was the fastest of 0, 1 and 2.
    """
    return asked or min(8, max(1, len(os.sched_getaffinity(0)) - 1))


def embed_manifest(
    embedder: Embedder,
    manifest: pd.DataFrame,
    source: Source,
    *,
    batch_size: int = 64,
    workers: int = 0,
    on_progress: OnProgress = lambda done, total: None,
    should_stop: ShouldStop = lambda: False,
) -> NDArray[np.float32]:
    """`(N, D)` float32 of unit length, in the manifest's order. Raises Stopped when `should_stop` says so."""
    photos = Photos(manifest, source, embedder.preprocess)
    embeddings = np.zeros((len(photos), embedder.dimension), dtype=np.float32)
    few = len(photos) <= 2 * batch_size  # not worth starting processes for
    loader = DataLoader(photos, batch_size, num_workers=0 if few else auto_workers(workers), collate_fn=torch.stack)
    done = 0
    for batch in loader:
        if should_stop():
            raise Stopped
        embeddings[done : done + len(batch)] = embedder.embed_batch(batch)
        done += len(batch)
        on_progress(done, len(photos))
    return embeddings
