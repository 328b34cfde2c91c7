"""Exact nearest neighbours, and the figures computed from them."""

from mlcore.matches import Rows
from mlcore.retrieval.bootstrap import Bootstrap, Interval, ratio_intervals
from mlcore.retrieval.components import pcf
from mlcore.retrieval.knn import Neighbours, Searcher, nearest
from mlcore.retrieval.metrics import METRICS, query_metrics
from mlcore.retrieval.verification import OperatingPoint, Verification, verify

__all__ = [
    "METRICS",
    "Bootstrap",
    "Interval",
    "Neighbours",
    "OperatingPoint",
    "Rows",
    "Searcher",
    "Verification",
    "nearest",
    "pcf",
    "query_metrics",
    "ratio_intervals",
    "verify",
]
