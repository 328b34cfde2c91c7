"""Reports before and after post-processing, side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlcore.config.postprocess import Postprocess
from mlcore.errors import InputError
from mlcore.evaluate import KS, LIST_LENGTH, chosen, note, summary
from mlcore.matches import manifest_rows
from mlcore.postprocess.chain import Chain
from mlcore.report import Queries, Report
from mlcore.retrieval.bootstrap import Bootstrap
from mlcore.retrieval.metrics import figure_names

BEFORE = "before"


def evaluate_with(
    embeddings: NDArray[np.floating],
    manifest: pd.DataFrame,
    steps: Mapping[str, Sequence[Postprocess]],
    *,
    cohort: NDArray[np.floating] | None = None,
    top_k: int = 10,
    ks: Sequence[int] = KS,
    bootstrap: Bootstrap | None = None,
    device: str = "cpu",
) -> dict[str, Report]:
    """Evaluates `(N, D)` embeddings as `mlcore.evaluate` does: "before" any step, and after each chain, by its name.

    steps: name -> chain of steps (`mlcore.config.postprocess.parse` makes one from text). cohort: `(M, D)` for score
    normalisation, such as the training rows; None: the gallery. Distances of neighbours are cosine distances after
    expansion, whatever score the lists are ordered by. A threshold ends lists early, and the figures are those of the
    lists it leaves. Raises InputError as `evaluate` and `Chain` do, and for a chain named "before".
    """
    if BEFORE in steps:
        raise InputError(f'A chain may not be named "{BEFORE}": that is the report without any.')
    if len(embeddings) != len(manifest):
        raise InputError(f"There are {len(embeddings)} embeddings for {len(manifest)} rows of the manifest.")
    if min(top_k, *ks, 1) < 1:
        raise ValueError("top_k and every k count neighbours: 1 or more.")
    rows = manifest_rows(manifest)
    is_query, is_gallery = manifest["is_query"].to_numpy(bool), manifest["is_gallery"].to_numpy(bool)
    q, g = rows.take(is_query), rows.take(is_gallery)
    queries, gallery = chosen(embeddings, is_query), chosen(embeddings, is_gallery)
    reports = {}
    for name, chain_steps in {BEFORE: (), **steps}.items():
        chain = Chain(chain_steps, gallery, g, cohort=cohort, device=device)
        relevant = chain.gallery.gallery.relevant(q)
        result = Queries(
            sample_ids=q.ids,
            relevant=relevant,
            first_hit_ranks=np.zeros(len(q), dtype=np.int64),
            figures={figure: np.full(len(q), np.nan) for figure in figure_names(ks)},
            neighbours=np.full((len(q), top_k), -1, dtype=np.int64),
            distances=np.full((len(q), top_k), np.inf),
            hits=np.zeros((len(q), top_k), dtype=bool),
        )
        depth = max(LIST_LENGTH, top_k, *ks, int(relevant.max(initial=0)))
        for places, ranked in chain.lists(queries, q, depth):
            note(result, places, ranked.lists, q.labels[places], g, ks)
        reports[name] = summary(result, q.labels, manifest["category"][is_query], len(g), bootstrap)
    return reports
