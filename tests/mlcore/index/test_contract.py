"""What every kind of index promises: exact scores, ties, filters, spaces, whole files."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mlcore.errors import InputError, SpaceMismatch
from mlcore.index import KINDS, FlatIndex, Index, base, build_index, index_from_files, load_index
from tests.mlcore.index.conftest import unit

IDS_OF_300 = np.arange(300)[::-1] * 7


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def index(kind: str) -> Index:
    return build_index(kind, unit(300), IDS_OF_300, "space-a")


def test_scores_are_exact_and_fall(index: Index) -> None:
    queries = unit(40, seed=1)
    ids, scores = index.search(queries, 5)
    exact = (queries.astype(np.float64) @ unit(300).T.astype(np.float64)).astype(np.float32)
    places = (299 - ids // 7).astype(int)
    np.testing.assert_array_equal(scores, np.take_along_axis(exact, places, axis=1))
    assert (np.diff(scores, axis=1) <= 0).all()
    assert all(len(set(row)) == 5 for row in ids.tolist())


def test_one_query_alone_equals_the_batch(index: Index) -> None:
    queries = unit(64, seed=2)
    for allowed in (None, index.ids[::2]):
        batch = index.search(queries, 10, allowed)
        for row in range(0, 64, 7):
            alone = index.search(queries[row], 10, allowed)
            np.testing.assert_array_equal(alone.ids[0], batch.ids[row])
            np.testing.assert_array_equal(alone.scores[0], batch.scores[row])


def test_equal_scores_come_by_id(kind: str) -> None:
    vectors = np.concatenate([np.repeat(unit(1, 64), 20, axis=0), unit(30, 64, seed=5)])
    index = build_index(kind, vectors, np.arange(50)[::-1], "s")
    ids, scores = index.search(unit(1, 64), 50)
    assert ids[0, :20].tolist() == list(range(30, 50))
    assert len(set(scores[0, :20].tolist())) == 1


@pytest.mark.parametrize("few", [0, 4096])
def test_only_allowed_ids_are_found(index: Index, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(base, "FEW_ALLOWED", few)  # 0: through the kind's own filter
    allowed = [7, 70, 700, 12345]
    ids, scores = index.search(unit(3, seed=3), 10, allowed)
    assert all(sorted(row[:3].tolist()) == [7, 70, 700] for row in ids)
    assert (ids[:, 3:] == -1).all()
    assert np.isneginf(scores[:, 3:]).all()
    assert (index.search(unit(1), 2, []).ids == -1).all()
    half = index.ids[::2]
    found = index.search(unit(9, seed=4), 40, half)
    assert np.isin(found.ids, half).all()  # as many as there are, up to k


def test_a_filter_of_all_is_none() -> None:
    index = FlatIndex.build(unit(300), IDS_OF_300, "s")
    everything = index.search(unit(9, seed=4), 10)
    np.testing.assert_array_equal(index.search(unit(9, seed=4), 10, iter(index.ids.tolist())).ids, everything.ids)


def test_k_beyond_the_count(index: Index) -> None:
    ids, _ = index.search(unit(1), 400)
    assert sorted(ids[0, :300].tolist()) == index.ids.tolist()
    assert (ids[0, 300:] == -1).all()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_smallest_indexes(kind: str, count: int) -> None:
    index = build_index(kind, unit(count), list(range(count)), "s")
    found = index.search(unit(2), 3)
    assert ((found.ids >= 0).sum(axis=1) == count).all()
    again = index_from_files(index.to_files())
    assert (len(again), again.kind) == (count, kind)
    np.testing.assert_array_equal(again.search(unit(2), 3).ids, found.ids)


def test_no_query(index: Index) -> None:
    assert index.search(np.zeros((0, 16), dtype=np.float32), 3).ids.shape == (0, 3)


def test_saved_and_loaded_it_answers_the_same(index: Index, tmp_path: Path) -> None:
    checksums = index.save(tmp_path / "deep" / "index")
    assert sorted(checksums) == ["ids.npy", "index.faiss", "manifest.json"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["index"]
    loaded = load_index(tmp_path / "deep" / "index", space="space-a")
    np.testing.assert_array_equal(loaded.search(unit(5), 7).ids, index.search(unit(5), 7).ids)
    assert (loaded.kind, loaded.space, loaded.dimension, len(loaded)) == (index.kind, "space-a", 16, 300)
    assert index.to_files() == loaded.to_files()
    with pytest.raises(FileExistsError, match="never overwritten"):
        index.save(tmp_path / "deep" / "index")


def test_another_space_is_refused(index: Index) -> None:
    with pytest.raises(SpaceMismatch, match="space-b"):
        index.search(unit(1), 3, space="space-b")
    with pytest.raises(SpaceMismatch, match="8 dimensions"):
        index.search(unit(1, 8), 3)
    with pytest.raises(SpaceMismatch, match="space-a, not space-b"):
        index_from_files(index.to_files(), space="space-b")


@pytest.mark.parametrize("name", ["index.faiss", "ids.npy", "manifest.json"])
def test_altered_or_missing_files_are_refused(index: Index, name: str) -> None:
    files = index.to_files()
    altered = files | {name: files[name][:-1] + bytes([files[name][-1] ^ 1])}
    with pytest.raises(InputError, match="Build"):
        index_from_files(altered)
    del files[name]
    with pytest.raises(InputError, match=name):
        index_from_files(files)


def test_a_manifest_that_lies_is_refused(index: Index) -> None:
    files = index.to_files()
    other = "flat" if index.kind != "flat" else "ivf"
    for lie in ({"count": 299}, {"kind": other}):
        manifest = json.loads(files["manifest.json"]) | lie
        with pytest.raises(InputError, match="does not hold"):
            index_from_files(files | {"manifest.json": json.dumps(manifest).encode()})


def test_bad_vectors_ids_and_settings_are_refused(kind: str) -> None:
    with pytest.raises(InputError, match="twice"):
        build_index(kind, unit(2), [1, 1], "s")
    with pytest.raises(InputError, match="2 vectors for 1 ids"):
        build_index(kind, unit(2), [1], "s")
    with pytest.raises(InputError, match="unit length"):
        build_index(kind, unit(2) * 3, [1, 2], "s")
    with pytest.raises(InputError, match="NaN"):
        build_index(kind, np.full((1, 4), np.nan), [1], "s")
    with pytest.raises(InputError, match="colour = 1 is no setting"):
        build_index(kind, unit(2), [1, 2], "s", colour=1)
    with pytest.raises(ValueError, match="k is 0"):
        build_index(kind, unit(2), [1, 2], "s").search(unit(1), 0)
    build_index(kind, np.zeros((1, 4), dtype=np.float16), [1], "s")  # normalisation leaves a zero vector at zero


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match="flat, ivf, hnsw"):
        build_index("tree", unit(2), [1, 2], "s")


def test_an_index_of_before_there_were_settings_loads() -> None:
    files = FlatIndex.build(unit(3), [1, 2, 3], "s").to_files()
    manifest = json.loads(files["manifest.json"])
    del manifest["settings"]
    assert len(index_from_files(files | {"manifest.json": json.dumps(manifest).encode()})) == 3


@pytest.mark.slow
def test_a_library_that_changes_faiss_does_no_harm() -> None:
    """`faiss.contrib.torch_utils`, which pytorch-metric-learning imports, replaces methods for the whole process."""
    script = """
import faiss.contrib.torch_utils
import numpy as np
from mlcore.index import KINDS, build_index
from tests.mlcore.index.conftest import unit
for kind in KINDS:
    index = build_index(kind, unit(300), np.arange(300), "s")
    for allowed in (None, np.arange(0, 300, 2)):
        assert index.search(unit(300)[:4], 1, allowed).ids[:, 0].tolist()[::2] == [0, 2]
    assert set(index.search(unit(300)[1], 3, np.arange(0, 300, 2)).ids[0] % 2) == {0}
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[3], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
