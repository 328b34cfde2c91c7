"""What a report holds beyond the figures of ranked lists: intervals, verification, PCF. Loads torch."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlcore.evaluate import FULL, Report, evaluate
from mlcore.matches import manifest_rows
from mlcore.retrieval.bootstrap import Bootstrap

# Above either, verification is left out and the page says so. It looks at every pair twice: with 60,000 validation
# samples, each a query and in the gallery (3.6e9 pairs), that took 77 s of one core at 128 dimensions, 119 s at 384;
# all figures of the ranked lists took 22 s at 128.
MOST_PAIRS = 4_000_000_000
# Of pairs of one label those are held that lie near a threshold: all of them, 30 bytes each, where a collapsed model
# makes all similarities alike (1.2 GB for 40 million, so 0.6 GB at the limit).
MOST_GENUINE = 20_000_000


def measure(embeddings: NDArray[np.floating], rows: pd.DataFrame) -> tuple[Report, dict[str, Any]]:
    """The report of `(N, D)` embeddings of the manifest's rows, and its extras as `Evaluation.extras` keeps them.

    Intervals and PCF have no limit: with 60,000 queries they take 3 s and 0.1 s. Raises as `mlcore.evaluate` does.
    """
    counts = pair_counts(rows)
    fits = counts["pairs"] <= MOST_PAIRS and counts["genuine"] <= MOST_GENUINE
    how = FULL.bootstrap or Bootstrap()
    report = evaluate(embeddings, rows, extras=replace(FULL, fmrs=FULL.fmrs if fits else (), bootstrap=how))
    extras: dict[str, Any] = {
        "intervals": {"confidence": how.confidence, "resamples": how.resamples, "figures": report.intervals},
        "pcf": {
            "embeddings": int((rows["is_query"] | rows["is_gallery"]).sum()),
            "dimension": embeddings.shape[1],
            "figures": report.pcf,
        },
    }
    if report.verification:
        extras["verification"] = report.verification.to_json()
    else:
        extras["verification_left_out"] = {**counts, "most_pairs": MOST_PAIRS, "most_genuine": MOST_GENUINE}
    return report, extras


def pair_counts(rows: pd.DataFrame) -> dict[str, int]:
    """`pairs` of a labelled query and a labelled gallery sample, and the `genuine` ones, of one label.

    Counted before exclusions (itself, copies, its sequence), so they are at least those that verification looks at.
    """
    labels = manifest_rows(rows).labels
    queries, gallery = (labels[rows[flag].to_numpy(bool) & (labels >= 0)] for flag in ("is_query", "is_gallery"))
    size = int(labels.max(initial=-1)) + 1
    genuine = np.bincount(queries, minlength=size) @ np.bincount(gallery, minlength=size)
    return {"pairs": len(queries) * len(gallery), "genuine": int(genuine)}
