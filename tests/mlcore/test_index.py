"""The index: exact, deterministic, verified on loading, and of one space."""

import json
from pathlib import Path

import numpy as np
import pytest

from mlcore.errors import InputError, SpaceMismatch
from mlcore.index import FlatIndex


def unit(count: int, dimension: int = 16, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def index() -> FlatIndex:
    return FlatIndex.build(unit(300), np.arange(300)[::-1] * 7, "space-a")


def test_finds_what_a_sort_finds(index: FlatIndex) -> None:
    vectors, ids, queries = unit(300), np.arange(300)[::-1] * 7, unit(40, seed=1)
    found_ids, scores = index.search(queries, 5)
    exact = (queries.astype(np.float64) @ vectors.T.astype(np.float64)).astype(np.float32)
    for row in range(40):
        order = np.lexsort((ids, -exact[row]))[:5]
        assert found_ids[row].tolist() == ids[order].tolist()
        np.testing.assert_array_equal(scores[row], exact[row][order])


def test_one_query_alone_equals_the_batch(index: FlatIndex) -> None:
    queries = unit(64, seed=2)
    batch = index.search(queries, 10)
    for row in range(64):
        alone = index.search(queries[row], 10)
        np.testing.assert_array_equal(alone.ids[0], batch.ids[row])
        np.testing.assert_array_equal(alone.scores[0], batch.scores[row])


def test_ties_go_to_the_smaller_id() -> None:
    index = FlatIndex.build(np.repeat(unit(1, 64), 500, axis=0), np.arange(500)[::-1], "s")
    ids, scores = index.search(unit(1, 64), 4)
    assert ids.tolist() == [[0, 1, 2, 3]]
    assert len(set(scores[0].tolist())) == 1


def test_only_allowed_ids_are_found(index: FlatIndex) -> None:
    allowed = [7, 70, 700, 12345]
    ids, scores = index.search(unit(3, seed=3), 10, allowed)
    assert all(sorted(row[:3].tolist()) == [7, 70, 700] for row in ids)
    assert (ids[:, 3:] == -1).all()
    assert np.isneginf(scores[:, 3:]).all()
    assert (index.search(unit(1), 2, []).ids == -1).all()
    everything = index.search(unit(9, seed=4), 10)
    np.testing.assert_array_equal(index.search(unit(9, seed=4), 10, index.ids).ids, everything.ids)


def test_k_beyond_the_count_and_an_empty_index(index: FlatIndex) -> None:
    ids, _ = index.search(unit(1), 400)
    assert sorted(ids[0, :300].tolist()) == index.ids.tolist()
    assert (ids[0, 300:] == -1).all()
    empty = FlatIndex.build(np.zeros((0, 16), dtype=np.float32), [], "s")
    assert (empty.search(unit(2), 3).ids == -1).all()
    assert len(FlatIndex.from_files(empty.to_files())) == 0


def test_saved_and_loaded_it_answers_the_same(index: FlatIndex, tmp_path: Path) -> None:
    checksums = index.save(tmp_path / "deep" / "index")
    assert sorted(checksums) == ["ids.npy", "index.faiss", "manifest.json"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["index"]
    loaded = FlatIndex.load(tmp_path / "deep" / "index", space="space-a")
    np.testing.assert_array_equal(loaded.search(unit(5), 7).ids, index.search(unit(5), 7).ids)
    assert (loaded.space, loaded.dimension, len(loaded)) == ("space-a", 16, 300)
    assert index.to_files() == loaded.to_files()
    with pytest.raises(FileExistsError, match="never overwritten"):
        index.save(tmp_path / "deep" / "index")


def test_another_space_is_refused(index: FlatIndex) -> None:
    with pytest.raises(SpaceMismatch, match="space-b"):
        index.search(unit(1), 3, space="space-b")
    with pytest.raises(SpaceMismatch, match="8 dimensions"):
        index.search(unit(1, 8), 3)
    with pytest.raises(SpaceMismatch, match="space-a, not space-b"):
        FlatIndex.from_files(index.to_files(), space="space-b")


@pytest.mark.parametrize("name", ["index.faiss", "ids.npy", "manifest.json"])
def test_altered_or_missing_files_are_refused(index: FlatIndex, name: str) -> None:
    files = index.to_files()
    altered = files | {name: files[name][:-1] + bytes([files[name][-1] ^ 1])}
    with pytest.raises(InputError, match="Build"):
        FlatIndex.from_files(altered)
    del files[name]
    with pytest.raises(InputError, match=name):
        FlatIndex.from_files(files)


def test_a_manifest_that_lies_is_refused(index: FlatIndex) -> None:
    files = index.to_files()
    manifest = json.loads(files["manifest.json"]) | {"count": 299}
    with pytest.raises(InputError, match="does not hold"):
        FlatIndex.from_files(files | {"manifest.json": json.dumps(manifest).encode()})


def test_bad_vectors_and_ids_are_refused() -> None:
    with pytest.raises(InputError, match="twice"):
        FlatIndex.build(unit(2), [1, 1], "s")
    with pytest.raises(InputError, match="2 vectors for 1 ids"):
        FlatIndex.build(unit(2), [1], "s")
    with pytest.raises(InputError, match="unit length"):
        FlatIndex.build(unit(2) * 3, [1, 2], "s")
    with pytest.raises(InputError, match="NaN"):
        FlatIndex.build(np.full((1, 4), np.nan), [1], "s")
    FlatIndex.build(np.zeros((1, 4), dtype=np.float16), [1], "s")  # normalisation leaves a zero vector at zero
