"""The pairwise re-ranker: hard pairs by loops, a head that begins as the extractor and learns, and its file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.config.postprocess import PairHeadConfig, PairRerank
from mlcore.errors import InputError
from mlcore.postprocess import Chain, Indexed, PairHead, PairReranker, load_head, save_head, train_pair_head
from mlcore.postprocess.mining import mine_pairs
from mlcore.retrieval import Rows
from tests.mlcore.postprocess.cases import Case, make_case, ranked
from tests.mlcore.retrieval.conftest import make_rows, unit

HEADS = ["linear", "concat"]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 3))
def test_hard_pairs_equal_the_naive_loop(seed: int, positives: int, negatives: int) -> None:
    case = make_case(seed, 30)
    vectors, rows = case.gallery, case.g
    far, near = set(), set()
    for i in range(len(rows)):
        lists = ranked(vectors[i], rows, i, vectors, rows)
        if rows.labels[i] < 0:
            continue
        same = [j for j, _ in lists if rows.labels[j] == rows.labels[i]]
        other = [j for j, _ in lists if rows.labels[j] >= 0 and rows.labels[j] != rows.labels[i]]
        far |= {(i, j) for j in same[-positives:]}
        near |= {(i, j) for j in other[:negatives]}
    if not far or not near:
        with pytest.raises(InputError, match="A pair head needs both"):
            mine_pairs(vectors, rows, positives=positives, negatives=negatives)
        return
    pairs = mine_pairs(vectors, rows, positives=positives, negatives=negatives)
    assert sorted(map(tuple, pairs.positives.tolist())) == sorted(far)
    assert sorted(map(tuple, pairs.negatives.tolist())) == sorted(near)


def noisy_labels(seed: int, labels: int, signal: int = 3, noise: int = 9) -> tuple[np.ndarray, Rows]:
    """Four rows a label: a few dimensions tell the label, more and larger ones tell nothing."""
    rng = np.random.default_rng(seed)
    own = np.repeat(np.arange(labels), 4)
    told = rng.standard_normal((labels, signal))[own] + 0.1 * rng.standard_normal((len(own), signal))
    vectors = unit(np.hstack([told, rng.standard_normal((len(own), noise))]))
    return vectors, make_rows(len(own), labels=own.tolist())


def first_hits(chain: Chain, vectors: np.ndarray, rows: Rows) -> float:
    hits = [
        rows.labels[part.lists.index[:, 0]] == rows.labels[places] for places, part in chain.lists(vectors, rows, 1)
    ]
    return float(np.concatenate(hits).mean())


@pytest.mark.parametrize("head", HEADS)
def test_before_training_the_order_is_the_extractors(head: str) -> None:
    case = make_case(2, 30)
    gallery = Indexed.of(case.gallery, case.g)
    lists = gallery.searcher.nearest(case.queries, case.q, 5)
    scores = PairReranker(PairHead(PairHeadConfig(head=head), 4), gallery).score(case.queries, case.q, lists)
    real = lists.index >= 0
    np.testing.assert_allclose(scores[real], 10 * lists.similarity[real] - 5, atol=1e-5)


def test_the_linear_head_helps_with_labels_never_seen(tmp_path: Path) -> None:
    config = PairHeadConfig(steps=150, batch_size=128, lr=0.01)
    save_head(train_pair_head(*noisy_labels(0, labels=40), config), tmp_path / "head")
    vectors, rows = noisy_labels(1, labels=15)
    before = first_hits(Chain([], vectors, rows), vectors, rows)
    step = PairRerank(weights=str(tmp_path / "head"), candidates=30)
    after = first_hits(Chain([step], vectors, rows), vectors, rows)
    assert after > before + 0.1


@pytest.mark.parametrize("head", HEADS)
def test_training_tells_the_hard_pairs_apart(head: str) -> None:
    vectors, rows = noisy_labels(0, labels=40)
    config = PairHeadConfig(head=head, hidden=32, steps=100, batch_size=128, lr=0.01)
    pairs = mine_pairs(vectors, rows, positives=config.positives, negatives=config.negatives)
    values = torch.from_numpy(vectors)

    def right(head: PairHead) -> float:
        """The share of (pair of one label, pair of two) in which the first has the higher logit."""
        with torch.no_grad():
            same, other = (head(values[kind[:, 0]], values[kind[:, 1]]) for kind in (pairs.positives, pairs.negatives))
        return float((same[:, None] > other).double().mean())

    assert right(train_pair_head(vectors, rows, config)) > right(PairHead(config, vectors.shape[1])) + 0.2


@pytest.mark.parametrize("head", HEADS)
def test_the_same_seed_makes_the_same_head_and_pairs_have_no_order(head: str) -> None:
    vectors, rows = noisy_labels(3, labels=6)
    config = PairHeadConfig(head=head, hidden=8, steps=5, batch_size=16)
    one, other = (train_pair_head(vectors, rows, config) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    left, right = torch.from_numpy(vectors[:9]), torch.from_numpy(vectors[9:18])
    torch.testing.assert_close(one(left, right), one(right, left))


@pytest.mark.parametrize("head", HEADS)
def test_one_query_alone_gets_what_it_gets_beside_others(head: str, tmp_path: Path) -> None:
    case: Case = make_case(4, 30)
    save_head(
        train_pair_head(case.gallery, case.g, PairHeadConfig(head=head, steps=3, batch_size=8)), tmp_path / "head"
    )
    chain = Chain([PairRerank(weights=str(tmp_path / "head"), candidates=6)], case.gallery, case.g)
    _, together = next(iter(chain.lists(case.queries, case.q, 8)))
    for place in range(len(case.q)):
        alone = case.alone(place)
        _, part = next(iter(chain.lists(alone.queries, alone.q, 8)))
        np.testing.assert_array_equal(part.lists.index[0], together.lists.index[place])
        np.testing.assert_array_equal(part.scores[0], together.scores[place])


def test_files(tmp_path: Path) -> None:
    head = PairHead(PairHeadConfig(head="concat", hidden=3), 4)
    save_head(head, tmp_path / "head")
    loaded = load_head(tmp_path / "head")
    assert loaded.config == head.config
    left, right = torch.randn(5, 4), torch.randn(5, 4)
    assert torch.equal(loaded(left, right), head(left, right))
    (tmp_path / "other").write_bytes(b"no weights")
    for name in ("other", "missing"):
        with pytest.raises(InputError, match=f"{name} holds no pair head"):
            load_head(tmp_path / name)
    with pytest.raises(InputError, match="trained for 4 dimensions; these embeddings have 2"):
        PairReranker(head, Indexed.of(np.eye(2, dtype=np.float32), make_rows(2)))
