"""The names and definitions of the retrieval metrics, as people read them.

The figures themselves are made by `mlcore.retrieval`. R is the number of relevant gallery samples of a query: same
label, and neither the query itself, nor the same image and box, nor the same sequence. Queries with R = 0 are left
out of every mean and counted. mAP@R and R-precision follow Musgrave et al., "A Metric Learning Reality Check", 2020.
"""

from collections.abc import Mapping
from dataclasses import dataclass

LABELS = {
    "cmc": "CMC@{k}",
    "precision": "Precision@{k}",
    "recall": "Recall@{k}",
    "map": "mAP@{k}",
    "map_hits": "mAP@{k}, by hits",
    "r_precision": "R-precision",
    "mrr": "MRR",
    "fnmr": "FNMR@FMR={k}",
    "pcf": "PCF@{k}",
    "loss": "Loss",
    "lr": "Learning rate",
    "images_per_second": "Images per second",
}
DEFINITIONS = {
    "cmc": "The share of queries with a sample of the same label {among}.",
    "precision": "Hits among the first {k}, divided by {k} or by the number of relevant samples if that is smaller; "
    "the mean over queries.",
    "recall": "Hits among the first {k}, divided by the number of relevant samples; the mean over queries.",
    "map": "The precision at the rank of each hit among the first {k}, added up and divided by {k} or by the number of "
    "relevant samples if that is smaller; the mean over queries.",
    "map_hits": "As mAP@{k}, but divided by the number of hits found: only for comparison with tables that do so.",
    "r_precision": "Hits among the first R neighbours, divided by R, where R is how many relevant samples the query "
    "has; the mean over queries.",
    "mrr": "One divided by the rank of the first hit, 0 without a hit; the mean over queries.",
    "fnmr": "The share of the pairs of one label that are taken for two (false non-match rate), with the highest "
    "threshold at which no more than {k} of the pairs of two labels are taken for one (false match rate). Small is "
    "good. By category: of the pairs of its queries, with that same threshold.",
    "pcf": "Principal components fraction: the share of the embedding's dimensions that explain {k} of its variance, "
    "the fewest that do. A small one: the model has collapsed onto few directions; 0: all embeddings are equal.",
    "loss": "What the training makes small: the mean over the batches since the last point.",
    "lr": "The step size of the optimizer.",
    "images_per_second": "How many images the training takes in each second.",
}
AT_ONE = {
    "precision": "Whether the nearest neighbour is a hit, as CMC@1; the mean over queries.",
    "recall": "1 divided by the number of relevant samples where the nearest neighbour is a hit, else 0; "
    "the mean over queries.",
    "map": "Whether the nearest neighbour is a hit, as CMC@1; the mean over queries.",
}
MAP_AT_R = (
    "The precision at the rank of each hit among the first R, added up and divided by R, where R is how many relevant "
    "samples the query has; the mean over queries (Musgrave et al. 2020)."
)


@dataclass(frozen=True)
class QueryCounts:
    """How many queries there were, and over how many of them the means are; `measured` None: not known (yet)."""

    queries: int
    measured: int | None

    def __str__(self) -> str:
        """For a column of figures: "190 of 193", or "193"."""
        if self.measured is None or self.measured == self.queries:
            return f"{self.queries:,}"
        return f"{self.measured:,} of {self.queries:,}"

    @property
    def words(self) -> str:
        """For a sentence: "190 of 193 queries"."""
        return f"{self} quer{'y' if self.queries == 1 else 'ies'}"


def query_counts(counts: Mapping[str, int]) -> QueryCounts:
    """Of the counts of a report, or of a snapshot, which does not know how many have a match in the gallery."""
    queries, left_out = counts.get("queries", 0), counts.get("queries_without_match")
    return QueryCounts(queries, None if left_out is None else queries - left_out)


def label(name: str) -> str:
    """`name` as people read it: "map@r" -> "mAP@R". An unknown name stays as it is."""
    kind, _, k = name.partition("@")
    pattern = LABELS.get(kind)
    if pattern is None or ("{k}" in pattern) != bool(k):
        return name
    return pattern.format(k=shown_at(kind, k))


def definition(name: str) -> str:
    """What the figure says; empty for an unknown name."""
    kind, _, k = name.partition("@")
    if (kind, k) == ("map", "r"):
        return MAP_AT_R
    pattern = AT_ONE.get(kind) if k == "1" else None
    pattern = pattern or DEFINITIONS.get(kind)
    if pattern is None or ("{k}" in LABELS[kind]) != bool(k):
        return ""
    among = "as the nearest neighbour" if k == "1" else f"among the first {k} neighbours"
    return pattern.format(k=shown_at(kind, k), among=among)


def shown_at(kind: str, k: str) -> str:
    """What stands behind the @, as people read it: a wanted rate in percent, as the pages have all rates."""
    return f"{100 * float(k):g} %" if kind == "fnmr" else k.upper()
