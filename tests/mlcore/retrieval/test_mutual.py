"""All against all by halves: the same lists as any other search, whatever is guessed, and what is not done by it."""

import numpy as np
import pytest
import torch

from mlcore.retrieval import Rows, Searcher, knn, mutual
from mlcore.retrieval.mutual import MutualSearch
from mlcore.retrieval.rough import Rounded
from tests.mlcore.retrieval.conftest import clusters, make_rows, random_rows, sorted_search, unit


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knn, "MUTUAL_ROWS", 100)
    monkeypatch.setattr(knn, "MANY_ROWS", 100)
    sizes = {"BITS": 7, "BAND": 128, "SHARE": 2, "BLOCK": 2, "TOO_MANY": 2}
    for name, value in sizes.items():
        monkeypatch.setattr(mutual, name, value)


def no_exclusions(part: slice) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)


def searched(vectors: np.ndarray, rows: Rows, k: int, kind: torch.dtype) -> tuple[knn.Neighbours, int]:
    """The lists, and how many queries the mutual search did itself."""
    searcher = Searcher(vectors, rows)
    searcher.kind = kind
    done = 0

    def counted(order: np.ndarray, depth: int):  # type: ignore[no-untyped-def]
        nonlocal done
        left = yield from Searcher.mutual_lists(searcher, order, depth)
        done = len(order) - len(left)
        return left

    searcher.mutual_lists = counted  # type: ignore[method-assign]
    return searcher.nearest(vectors, rows, k), done


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("k", [1, 10, 100])
@pytest.mark.parametrize("count", [1000, 1024])
def test_equals_a_sort(count: int, k: int, kind: torch.dtype) -> None:
    rng = np.random.default_rng(count + k)
    vectors, rows = clusters(rng, count, 48), random_rows(rng, count)
    vectors[300:340] = vectors[5]
    found, done = searched(vectors, rows, k, kind)
    index, similarity = sorted_search(vectors, vectors, rows, rows, k)
    np.testing.assert_array_equal(found.similarity, similarity)
    np.testing.assert_array_equal(found.index, index)
    assert done > count // 2


def test_counts_matches_as_a_search_does() -> None:
    rng = np.random.default_rng(3)
    vectors, rows = clusters(rng, 900, 32), random_rows(rng, 900)
    found, _ = searched(vectors, rows, 20, torch.bfloat16)
    np.testing.assert_array_equal(found.relevant, Searcher(vectors, rows).gallery.relevant(rows))


def test_wrong_guesses_fail_and_are_searched_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    vectors, rows = clusters(rng, 1000, 48), random_rows(rng, 1000)
    guesses = MutualSearch.guesses

    def too_high(search: MutualSearch) -> torch.Tensor:
        guess = guesses(search)
        guess[::7] = 0.9
        return guess

    monkeypatch.setattr(MutualSearch, "guesses", too_high)
    found, done = searched(vectors, rows, 20, torch.bfloat16)
    assert 700 < done <= 1000 - 1000 // 7
    np.testing.assert_array_equal(found.index, sorted_search(vectors, vectors, rows, rows, 20)[0])


def test_guesses_below_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    vectors, rows = unit(rng.standard_normal((600, 3))), random_rows(rng, 600)
    guesses = MutualSearch.guesses
    monkeypatch.setattr(MutualSearch, "guesses", lambda search: guesses(search).clamp(max=-0.25))
    monkeypatch.setattr(mutual, "TOO_MANY", 1)
    found, done = searched(vectors, rows, 20, torch.bfloat16)
    assert done > 500
    np.testing.assert_array_equal(found.index, sorted_search(vectors, vectors, rows, rows, 20)[0])


@pytest.mark.parametrize("spread", [0.0, 1e-4, 3e-2])
def test_vectors_too_close_are_left_to_another_search(spread: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutual, "TOO_MANY", 8)
    rng = np.random.default_rng(7)
    vectors = unit(unit(rng.standard_normal((1, 32))) + spread * rng.standard_normal((700, 32)))
    rows = random_rows(rng, 700)
    found, done = searched(vectors, rows, 10, torch.bfloat16)
    assert done < 700
    np.testing.assert_array_equal(found.index, sorted_search(vectors, vectors, rows, rows, 10)[0])


def test_long_sequences_leave_too_few_for_the_guess() -> None:
    rng = np.random.default_rng(8)
    vectors = clusters(rng, 500, 32)
    rows = make_rows(500, sequences=[number // 480 for number in range(500)])
    found, _ = searched(vectors, rows, 30, torch.bfloat16)
    np.testing.assert_array_equal(found.index, sorted_search(vectors, vectors, rows, rows, 30)[0])


def test_queries_in_another_order_than_the_gallery() -> None:
    rng = np.random.default_rng(9)
    vectors, rows = clusters(rng, 400, 32), random_rows(rng, 400)
    order = rng.permutation(400)
    searcher = Searcher(vectors, rows)
    assert searcher.holds(vectors[order], rows.take(order))
    found = searcher.nearest(vectors[order], rows.take(order), 10)
    np.testing.assert_array_equal(found.index, sorted_search(vectors[order], vectors, rows.take(order), rows, 10)[0])


def test_only_the_gallery_itself_is_searched_by_halves() -> None:
    rng = np.random.default_rng(10)
    vectors, rows = clusters(rng, 400, 32), random_rows(rng, 400)
    searcher = Searcher(vectors, rows)
    moved = vectors.copy()
    moved[3] = moved[4]
    assert not searcher.holds(moved, rows)
    other = rows.take(slice(None))
    other.sequences[0] = 99_999
    assert not searcher.holds(vectors, Rows(other.ids, other.labels, other.photos, rows.sequences + 1))
    assert not searcher.holds(vectors[:-1], rows.take(slice(0, 399)))


def test_pairs_held_are_let_go() -> None:
    vectors = torch.from_numpy(clusters(np.random.default_rng(11), 1000, 48))
    search = MutualSearch(Rounded.of(vectors, torch.bfloat16), 10, no_exclusions)
    assert sum(len(band.found) + len(band.failed) for band in search.bands() if band) == 1000
    assert search.held == 0
