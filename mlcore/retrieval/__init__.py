"""Exact nearest neighbours, and the figures computed from them."""

from mlcore.retrieval.knn import Neighbours, Rows, nearest
from mlcore.retrieval.metrics import METRICS, query_metrics

__all__ = ["METRICS", "Neighbours", "Rows", "nearest", "query_metrics"]
