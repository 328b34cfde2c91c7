"""What follows a search: expansion, re-ranking, score normalisation, thresholds. Each is a small class, one method."""

from mlcore.postprocess.chain import Chain, Ranked
from mlcore.postprocess.evaluate import evaluate_with
from mlcore.postprocess.expansion import Expander
from mlcore.postprocess.indexed import Indexed
from mlcore.postprocess.mining import TrainedHead, train_pair_head
from mlcore.postprocess.normalisation import CSLSScorer, SNormScorer, ZNormScorer
from mlcore.postprocess.pairs import PairHead, PairReranker, load_head, save_head
from mlcore.postprocess.rerank import Reranker
from mlcore.postprocess.threshold import AdaptiveCut, ConstantCut

__all__ = [
    "AdaptiveCut",
    "CSLSScorer",
    "Chain",
    "ConstantCut",
    "Expander",
    "Indexed",
    "PairHead",
    "PairReranker",
    "Ranked",
    "Reranker",
    "SNormScorer",
    "TrainedHead",
    "ZNormScorer",
    "evaluate_with",
    "load_head",
    "save_head",
    "train_pair_head",
]
