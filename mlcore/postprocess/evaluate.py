"""Reports before and after post-processing, side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlcore.config.postprocess import Postprocess
from mlcore.errors import InputError
from mlcore.evaluate import KS, check_lengths, depth_of, noted, sides, summary
from mlcore.postprocess.chain import Chain
from mlcore.report import Report
from mlcore.retrieval.bootstrap import Bootstrap
from mlcore.retrieval.exact import as_float32

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
    q, g, queries, gallery = sides(embeddings, manifest, top_k, ks)
    if cohort is not None:
        check_lengths(as_float32(cohort), np.arange(len(cohort)))
    reports = {}
    for name, chain_steps in {BEFORE: (), **steps}.items():
        chain = Chain(chain_steps, gallery, g, cohort=cohort, device=device)
        relevant = chain.gallery.gallery.relevant(q)
        ranked = chain.lists(queries, q, depth_of(relevant, top_k, ks))
        result = noted(((places, piece.lists) for places, piece in ranked), q, g, relevant, top_k=top_k, ks=ks)
        reports[name] = summary(result, q.labels, manifest["category"][manifest["is_query"]], len(g), bootstrap)
    return reports
