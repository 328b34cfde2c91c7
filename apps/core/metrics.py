"""The names and definitions of the retrieval metrics, as people read them.

The figures themselves are made by `mlcore.retrieval`. R is the number of relevant gallery samples of a query: same
label, and neither the query itself, nor the same image and box, nor the same sequence. Queries with R = 0 are left
out of every mean and counted. mAP@R and R-precision follow Musgrave et al., "A Metric Learning Reality Check", 2020.
"""

LABELS = {
    "cmc": "CMC@{k}",
    "precision": "Precision@{k}",
    "recall": "Recall@{k}",
    "map": "mAP@{k}",
    "map_hits": "mAP@{k}, by hits",
    "r_precision": "R-precision",
    "mrr": "MRR",
    "loss": "Loss",
    "lr": "Learning rate",
    "images_per_second": "Images per second",
}
DEFINITIONS = {
    "cmc": "The share of queries with a sample of the same label {among}.",
    "precision": "Of the first {k} neighbours, the share with the query's label, divided by min({k}, R, gallery size); "
    "the mean over queries.",
    "recall": "Of all R relevant gallery samples, the share found among the first {k}; the mean over queries.",
    "map": "The mean, over hits among the first {k}, of the precision at each hit's rank, divided by min({k}, R); "
    "then the mean over queries.",
    "map_hits": "As mAP@{k}, but divided by the number of hits found: only for comparison with tables that do so.",
    "r_precision": "Precision among the first R neighbours, where R is how many relevant samples the query has; "
    "the mean over queries.",
    "mrr": "One divided by the rank of the first hit, 0 without a hit; the mean over queries.",
    "loss": "What the training makes small: the mean over the batches since the last point.",
    "lr": "The step size of the optimizer.",
    "images_per_second": "How many images the training takes in each second.",
}
MAP_AT_R = (
    "The mean over the first R ranks of the precision at each hit's rank, divided by R, where R is how many relevant "
    "samples the query has; then the mean over queries (Musgrave et al. 2020)."
)


def label(name: str) -> str:
    """`name` as people read it: "map@r" -> "mAP@R". An unknown name stays as it is."""
    kind, _, k = name.partition("@")
    pattern = LABELS.get(kind)
    if pattern is None or ("{k}" in pattern) != bool(k):
        return name
    return pattern.format(k=k.upper())


def definition(name: str) -> str:
    """What the figure says; empty for an unknown name."""
    kind, _, k = name.partition("@")
    if (kind, k) == ("map", "r"):
        return MAP_AT_R
    pattern = DEFINITIONS.get(kind)
    if pattern is None or ("{k}" in LABELS[kind]) != bool(k):
        return ""
    among = "as the nearest neighbour" if k == "1" else f"among the first {k} neighbours"
    return pattern.format(k=k.upper(), among=among)
