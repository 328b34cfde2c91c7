"""The pairwise re-ranker: hard lists by loops, a head that begins as the extractor, learns or stays, and its file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.config.postprocess import PairHeadConfig, PairRerank
from mlcore.errors import InputError
from mlcore.postprocess import Chain, Indexed, PairHead, PairReranker, load_head, save_head, train_pair_head
from mlcore.postprocess.mining import best_part, label_figures, label_folds, mine_lists, ranking_loss, training
from mlcore.retrieval import Rows
from tests.mlcore.postprocess.cases import make_case, ranked
from tests.mlcore.retrieval.conftest import make_rows, unit

HEADS = ["linear", "concat"]
FAST = {"hidden": 16, "lr": 0.01, "weight_decay": 0.3, "steps": 100, "check_every": 25}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_hard_lists_equal_the_naive_loop(seed: int, count: int) -> None:
    case = make_case(seed, 30)
    vectors, rows = case.gallery, case.g
    expected = {}
    for i in np.flatnonzero(rows.labels >= 0).tolist():
        labelled = [j for j, _ in ranked(vectors[i], rows, i, vectors, rows) if rows.labels[j] >= 0][:count]
        same = [bool(rows.labels[j] == rows.labels[i]) for j in labelled]
        if any(same) and not all(same):
            expected[i] = list(zip(labelled, same, strict=True))
    lists = mine_lists(vectors, rows, count)
    found = {
        int(i): [(int(j), bool(s)) for j, s in zip(index, same, strict=True) if j >= 0]
        for i, index, same in zip(lists.queries, lists.index, lists.same, strict=True)
    }
    assert found == expected
    np.testing.assert_array_equal(lists.other, (lists.index >= 0) & ~lists.same)


def test_the_loss_equals_the_naive_loop() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 3, (5, 7))
    kinds = rng.integers(0, 3, (5, 7))  # of its label, of another one, past the list's end
    kinds[:, 0], kinds[:, 1] = 0, 1
    means = []
    for values, kind in zip(scores, kinds, strict=True):
        pairs = [(values[i], values[j]) for i in np.flatnonzero(kind == 0) for j in np.flatnonzero(kind == 1)]
        means.append(np.mean([np.log1p(np.exp(other - same)) for same, other in pairs]))
    loss = ranking_loss(torch.from_numpy(scores), torch.from_numpy(kinds == 0), torch.from_numpy(kinds == 1))
    assert float(loss) == pytest.approx(np.mean(means), rel=1e-12)


def noisy_labels(seed: int, labels: int, signal: int = 3, noise: int = 9) -> tuple[np.ndarray, Rows]:
    """Four rows a label: a few dimensions tell the label, more and larger ones tell nothing."""
    rng = np.random.default_rng(seed)
    own = np.repeat(np.arange(labels), 4)
    told = rng.standard_normal((labels, signal))[own] + 0.1 * rng.standard_normal((len(own), signal))
    vectors = unit(np.hstack([told, rng.standard_normal((len(own), noise))]))
    return vectors, make_rows(len(own), labels=own.tolist())


def own_dimensions(seed: int, labels: int = 15) -> tuple[np.ndarray, Rows]:
    """Six rows a label, and a dimension of its own that tells it: what some labels teach is wrong for the others."""
    rng = np.random.default_rng(seed)
    own = np.repeat(np.arange(labels), 6)
    return unit(1.5 * np.eye(labels)[own] + 0.5 * rng.standard_normal((len(own), labels))), make_rows(
        len(own), labels=own.tolist()
    )


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
    np.testing.assert_allclose(scores[real], 10 * lists.similarity[real], atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_a_head_helps_with_labels_never_seen(head: str, tmp_path: Path) -> None:
    trained = train_pair_head(*noisy_labels(0, labels=40), PairHeadConfig(head=head, **FAST))
    save_head(trained.head, tmp_path / "head")
    vectors, rows = noisy_labels(1, labels=15)
    before = first_hits(Chain([], vectors, rows), vectors, rows)
    step = PairRerank(weights=str(tmp_path / "head"), candidates=30)
    after = first_hits(Chain([step], vectors, rows), vectors, rows)
    assert after > before + 0.1
    assert trained.steps > 0
    assert trained.after["cmc@1"] > trained.before["cmc@1"] + 0.1
    assert f"trained for {trained.steps} steps. On labels held out: cmc@1 {trained.before['cmc@1']:.4f}" in str(trained)


@pytest.mark.parametrize("head", HEADS)
def test_a_head_that_would_harm_labels_never_seen_ranks_as_the_extractor(head: str) -> None:
    vectors, rows = own_dimensions(0)
    config = PairHeadConfig(head=head, **FAST)
    held_out = np.isin(rows.labels, label_folds(rows, config)[0])
    gallery = Indexed.of(vectors[held_out], rows.take(held_out))
    heads = training(vectors[~held_out], rows.take(~held_out), config)
    first, *_, last = (label_figures(each, gallery, ("cmc@1", "map@20"), config).mean(axis=0) for _, each in heads)
    assert (last < first - 0.01).all()

    trained = train_pair_head(vectors, rows, config)
    assert trained.steps == 0
    assert trained.after == trained.before
    assert str(trained) == "Training did not help on labels held out: the pair head ranks as the extractor does."
    left, right = torch.from_numpy(vectors[:9]), torch.from_numpy(vectors[9:18])
    torch.testing.assert_close(trained.head(left, right), 10 * (left * right).sum(1))


def test_the_part_that_helps_most_is_chosen() -> None:
    def after(cmc: list[float], precision: list[float]) -> list[list[float]]:
        return [[0.5 + c, 0.4 + p] for c, p in zip(cmc, precision, strict=True)]

    before = after([0, 0, 0], [0, 0, 0])
    small, large = after([0, 0, 0], [0.1, 0.1, 0.2]), after([0.1, -0.1, 0], [0.2, 0.2, 0.3])
    lower_cmc = after([0.1, -0.1, -0.1], [0.5, 0.5, 0.5])
    one_label = after([0, 0, 0], [0.9, -0.1, -0.1])  # a gain of 0.23, and its standard error of 0.33
    lower = after([0.1, 0.1, 0.1], [-0.1, -0.1, -0.2])
    assert best_part(np.array([before, small, large, lower_cmc, one_label, lower])) == 2
    assert best_part(np.array([before, small, lower_cmc, one_label, lower])) == 1
    assert best_part(np.array([before, lower_cmc, one_label, lower])) == 0


def test_where_no_list_holds_both_kinds_nothing_is_trained() -> None:
    own = np.repeat(np.arange(6), 3)
    trained = train_pair_head(np.eye(6)[own], make_rows(18, labels=own.tolist()), PairHeadConfig(candidates=2, steps=4))
    assert trained.steps == 0
    assert trained.before == {"cmc@1": 1.0, "map@2": 1.0}


def test_too_few_labels_are_refused() -> None:
    own = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6, -1, -1]
    vectors = unit(np.random.default_rng(0).standard_normal((14, 4)))
    with pytest.raises(InputError, match=r"5 labels have two photos or more.* it needs 6 such labels"):
        train_pair_head(vectors, make_rows(14, labels=own), PairHeadConfig())
    burst = {"sequences": [-1] * 10 + [7, 7, -1, -1]}
    with pytest.raises(InputError, match="5 labels have two photos"):
        train_pair_head(vectors, make_rows(14, labels=[*own[:11], 5, -1, -1], **burst), PairHeadConfig())


def test_figures_of_held_out_labels_equal_the_naive_loop() -> None:
    case = make_case(5, 40)
    own = case.g.labels >= 0
    vectors, rows = case.gallery[own], case.g.take(own)
    expected: dict[int, list[tuple[float, float]]] = {}
    for i in range(len(rows)):
        found = [rows.labels[j] == rows.labels[i] for j, _ in ranked(vectors[i], rows, i, vectors, rows)]
        if any(found):
            top = found[:4]
            precisions = [sum(top[: k + 1]) / (k + 1) for k in range(len(top)) if top[k]]
            expected.setdefault(int(rows.labels[i]), []).append((top[0], sum(precisions) / min(4, sum(found))))
    config = PairHeadConfig(candidates=4)
    figures = label_figures(PairHead(config, 4), Indexed.of(vectors, rows), ("cmc@1", "map@4"), config)
    np.testing.assert_allclose(figures, [np.mean(expected[label], axis=0) for label in sorted(expected)])


@pytest.mark.parametrize("head", HEADS)
def test_training_orders_the_hard_lists(head: str) -> None:
    vectors, rows = noisy_labels(0, labels=40)
    config = PairHeadConfig(head=head, **FAST)
    lists, values = mine_lists(vectors, rows, config.candidates), torch.from_numpy(vectors)
    pairs = torch.from_numpy(lists.same[:, :, None] & lists.other[:, None, :])

    def right(head: PairHead) -> float:
        """The share of pairs of a list, one row of its label and one of another, in which the first scores higher."""
        with torch.no_grad():
            scores = head(values[lists.queries][:, None], values[lists.index])
        return float((scores[:, :, None] > scores[:, None, :])[pairs].double().mean())

    shares = [right(each) for _, each in training(vectors, rows, config)]
    assert shares[-1] > shares[0] + 0.2


def test_weight_decay_draws_back_to_the_extractor_and_leaves_the_scale() -> None:
    vectors, rows = noisy_labels(0, labels=20)
    *_, (_, free) = training(vectors, rows, PairHeadConfig(lr=0.01, weight_decay=0, steps=50))
    *_, (_, held) = training(vectors, rows, PairHeadConfig(lr=0.01, weight_decay=100, steps=50))
    assert float(held.change.detach().abs().max()) < 0.02 < float(free.change.detach().abs().max())
    assert float(held.scale.detach()) > 9


@pytest.mark.parametrize("head", HEADS)
def test_the_same_seed_makes_the_same_head_and_pairs_have_no_order(head: str) -> None:
    vectors, rows = noisy_labels(3, labels=20)
    config = PairHeadConfig(head=head, **FAST)
    one, other = (train_pair_head(vectors, rows, config) for _ in range(2))
    assert one.steps == other.steps > 0
    assert all(torch.equal(a, b) for a, b in zip(one.head.parameters(), other.head.parameters(), strict=True))
    left, right = torch.from_numpy(vectors[:9]), torch.from_numpy(vectors[9:18])
    torch.testing.assert_close(one.head(left, right), one.head(right, left))


def test_every_label_with_a_match_is_held_out_once() -> None:
    own = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, -1, -1]
    folds = label_folds(make_rows(15, labels=own), PairHeadConfig(folds=2))
    assert sorted(np.concatenate(folds).tolist()) == [0, 1, 2, 3, 4, 5]
    assert [len(fold) for fold in folds] == [3, 3]


@pytest.mark.parametrize("head", HEADS)
def test_one_query_alone_gets_what_it_gets_beside_others(head: str, tmp_path: Path) -> None:
    case = make_case(4, 30)
    *_, (_, trained) = training(case.gallery, case.g, PairHeadConfig(head=head, steps=3, lr=0.1))
    save_head(trained, tmp_path / "head")
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
    with pytest.raises(FileNotFoundError):  # as every error of the disk: what writes whole files puts them in words
        save_head(head, tmp_path / "nowhere/head")
    with pytest.raises(InputError, match="trained for 4 dimensions; these embeddings have 2"):
        PairReranker(head, Indexed.of(np.eye(2, dtype=np.float32), make_rows(2)))
