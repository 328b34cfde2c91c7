"""Embeddings of every row of a manifest."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlcore.cache import Say
from mlcore.data import Photos, Source, open_cache
from mlcore.events import ShouldStop
from mlcore.model import Embedder
from mlcore.quick import Embed, quick_embed

OnProgress = Callable[[int, int], None]

FEW = 4  # batches for which no faster network is sought


class Stopped(Exception):  # noqa: N818
    """The caller asked to stop; there is no result."""


def embed_manifest(
    embedder: Embedder,
    manifest: pd.DataFrame,
    source: Source,
    *,
    batch_size: int = 64,
    workers: int = 0,
    cache_dir: Path | None = None,
    on_progress: OnProgress = lambda done, total: None,
    should_stop: ShouldStop = lambda: False,
    on_message: Say = lambda text: None,
) -> NDArray[np.float32]:
    """`(N, D)` float32 of unit length, in the manifest's order. Raises Stopped when `should_stop` says so.

    workers: threads that decode, 0 for as many as cores. cache_dir: where decoded photos are kept; on_message: told, in
    words, when they cannot be.
    """
    embeddings = np.zeros((len(manifest), embedder.dimension), dtype=np.float32)
    plan = [range(at, min(at + batch_size, len(manifest))) for at in range(0, len(manifest), batch_size)]
    embed: Embed | None = embedder.embed_batch if len(plan) <= FEW else None
    cache = open_cache(cache_dir, embedder.preprocess, on_message)
    with (
        closing(Photos(manifest, source, embedder.preprocess, workers=workers, cache=cache)) as photos,
        closing(photos.batches(plan, embedder.device)) as batches,
    ):
        for rows, squares in zip(plan, batches, strict=True):
            if should_stop():
                raise Stopped
            batch = squares.permute(0, 3, 1, 2)
            embed = embed or quick_embed(embedder, batch)
            embeddings[rows.start : rows.stop] = embed(batch)
            on_progress(rows.stop, len(manifest))
    return embeddings
