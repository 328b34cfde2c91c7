"""Exact nearest neighbours, and the figures computed from them."""

from mlcore.matches import Rows
from mlcore.retrieval.knn import Neighbours, Searcher, nearest
from mlcore.retrieval.metrics import METRICS, query_metrics

__all__ = ["METRICS", "Neighbours", "Rows", "Searcher", "nearest", "query_metrics"]
