"""The report: what is counted, what is left out, and that it is the same however it is cut."""

import json
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore import evaluate as module
from mlcore.errors import InputError
from mlcore.evaluate import FULL, Extras, Report, evaluate
from mlcore.retrieval.bootstrap import Bootstrap, ratio_intervals
from mlcore.retrieval.components import pcf


def make_manifest(labels: list[str], **columns: object) -> pd.DataFrame:
    """Validation rows that are query and gallery, unless told otherwise."""
    count = len(labels)
    frame = pd.DataFrame(
        {
            "sample_id": range(100, 100 + count),
            "image_key": "",
            "sha256": [f"{number:x}" for number in range(count)],
            "path": [f"{number}.jpg" for number in range(count)],
            "label": labels,
            "category": None,
            "split": "validation",
            "is_query": True,
            "is_gallery": True,
            "sequence": None,
        }
    )
    for name in ("x_1", "y_1", "x_2", "y_2"):
        frame[name] = pd.array([None] * count, dtype="Int64")
    for name, values in columns.items():
        frame[name] = values
    return frame


def at_angles(*degrees: float) -> np.ndarray:
    """Unit vectors in a plane: the nearest is the one at the nearest angle."""
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def test_figures_by_hand() -> None:
    manifest = make_manifest(["a", "a", "b", "b", "c"])
    report = evaluate(at_angles(0, 10, 18, 40, 90), manifest, ks=(1, 5))
    assert report.counts == {"queries": 5, "gallery": 5, "queries_without_match": 1}
    # First hits: a0 at 1, a10 at 2 (after 18), b18 at 3 (after 10, 0), b40 at 1.
    assert [query.first_hit_rank for query in report.queries] == [1, 2, 3, 1, None]
    assert report.overall["cmc@1"] == 0.5
    assert report.overall["cmc@5"] == 1.0
    assert report.overall["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1) / 4)
    assert report.overall["map@r"] == 0.5
    assert [query.average_precision for query in report.queries] == [1.0, 0.0, 0.0, 1.0, None]
    first = report.queries[0]
    assert [neighbour.sample_id for neighbour in first.neighbours] == [101, 102, 103, 104]
    assert [neighbour.hit for neighbour in first.neighbours] == [True, False, False, False]
    assert first.neighbours[0].distance == pytest.approx(1 - np.cos(np.deg2rad(10)), abs=1e-6)


def test_names_of_the_figures() -> None:
    report = evaluate(at_angles(0, 1, 2), make_manifest(["a", "a", "a"]))
    wanted = {"cmc@1", "cmc@5", "cmc@10", "precision@5", "precision@10", "map@5", "map@10", "map@r", "r_precision"}
    assert wanted | {"mrr", "recall@10", "map_hits@10"} <= set(report.overall)
    assert all(value == 1.0 for name, value in report.overall.items() if name != "recall@1")
    assert report.overall["recall@1"] == 0.5


def test_copies_and_bursts_are_no_neighbours() -> None:
    manifest = make_manifest(["a"] * 4, sha256=["x", "x", "y", "z"], sequence=[None, None, "s", "s"])
    report = evaluate(at_angles(0, 0, 1, 2), manifest)
    ids = [[neighbour.sample_id for neighbour in query.neighbours] for query in report.queries]
    assert ids == [[102, 103], [102, 103], [100, 101], [100, 101]]
    boxed = manifest.copy()
    boxed.loc[0, ["x_1", "y_1", "x_2", "y_2"]] = [0, 0, 5, 5]  # another box of the file is another sample
    assert evaluate(at_angles(0, 0, 1, 2), boxed).queries[0].neighbours[0].sample_id == 101


def test_a_category_may_be_called_overall() -> None:
    manifest = make_manifest(["a", "a", "b", "b", "c"], category=["OVERALL", "OVERALL", "overall", "overall", None])
    report = evaluate(at_angles(0, 10, 18, 40, 90), manifest)
    assert [(category.name, category.queries) for category in report.categories] == [("OVERALL", 2), ("overall", 2)]
    written = report.to_json()
    assert written["overall"] == report.overall
    assert set(written["categories"]) == {"OVERALL", "overall"}
    assert written["counts"] == report.counts
    assert [query.sample_id for query in report.queries] == [100, 101, 102, 103, 104]  # ids are the manifest's


def test_a_category_counts_what_it_leaves_out() -> None:
    manifest = make_manifest(["a", "a", "b"], category=["x", "x", "y"])
    x, y = evaluate(at_angles(0, 1, 2), manifest).categories
    assert (x.queries, x.queries_without_match) == (2, 0)
    assert (y.queries, y.queries_without_match, y.metrics) == (0, 1, {})


def test_the_worst_come_first() -> None:
    report = evaluate(at_angles(0, 10, 18, 40, 90), make_manifest(["a", "a", "b", "b", "c"]))
    assert [query.sample_id for query in report.worst(3)] == [102, 101, 100]
    assert len(report.worst()) == 4  # the query without a match is not a bad one


@pytest.mark.parametrize("flag", ["is_query", "is_gallery"])
def test_no_query_or_no_gallery(flag: str) -> None:
    report = evaluate(at_angles(0, 1), make_manifest(["a", "a"], **{flag: False}))
    assert (report.overall, report.categories) == ({}, [])
    left_out = 2 if flag == "is_gallery" else 0
    assert report.counts["queries_without_match"] == report.counts["queries"] == left_out
    assert all(query.neighbours == [] for query in report.queries)


def test_more_neighbours_than_there_are() -> None:
    report = evaluate(at_angles(0, 1, 5), make_manifest(["a", "a", "b"]), top_k=50, ks=(1, 500))
    assert [len(query.neighbours) for query in report.queries] == [2, 2, 2]
    assert report.overall["precision@500"] == 1.0
    with pytest.raises(ValueError, match="1 or more"):
        evaluate(at_angles(0, 1), make_manifest(["a", "a"]), ks=(0,))


def test_unlabelled_samples_match_nothing() -> None:
    report = evaluate(at_angles(0, 1, 2), make_manifest(["a", None, None]))  # type: ignore[list-item]
    assert report.counts["queries_without_match"] == 3
    assert not any(neighbour.hit for query in report.queries for neighbour in query.neighbours)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="2 embeddings for 3 rows"):
        evaluate(at_angles(0, 1), make_manifest(["a", "a", "a"]))
    with pytest.raises(InputError, match="NaN"):
        evaluate(np.full((2, 2), np.nan), make_manifest(["a", "a"]))


@pytest.mark.parametrize("length", [1.3, 0.7, 1e-3, 3e38])  # the square of the last is no float32
def test_embeddings_have_unit_length_or_none(length: float) -> None:
    vectors, manifest = at_angles(0, 1, 2, 3), make_manifest(["a", "a", "b", "b"])
    vectors[2] = 0
    evaluate(vectors, manifest)
    vectors[1] *= length
    vectors[3] *= length
    with pytest.raises(InputError, match=r"2 of 4 embeddings are not of unit length; that of row 1 .*Divide"):
        evaluate(vectors, manifest)


@pytest.mark.parametrize("value", [7.0, np.nan])
def test_what_is_neither_query_nor_gallery_may_be_anything(value: float) -> None:
    used = [False, True, True, True]
    vectors, manifest = at_angles(0, 1, 2, 3), make_manifest(["a", "a", "b", "b"], is_query=used, is_gallery=used)
    expected = evaluate(vectors, manifest)
    vectors[0] = value
    assert evaluate(vectors, manifest) == expected
    vectors[2] *= 2
    with pytest.raises(InputError, match=r"1 of 3 embeddings are not of unit length; that of row 2 "):
        evaluate(vectors, manifest)


def test_a_label_larger_than_the_list_is_ranked_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIST_LENGTH", 3)
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((40, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    manifest = make_manifest(["a"] * 20 + ["b"] * 20)
    short = evaluate(vectors, manifest, ks=(1,), top_k=2).overall
    monkeypatch.setattr(module, "LIST_LENGTH", 100)
    long = evaluate(vectors, manifest, ks=(1,), top_k=2).overall
    assert short["map@r"] == long["map@r"]
    assert short["r_precision"] == long["r_precision"]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 25))
def test_cut_into_pieces_it_is_the_same(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-1, 2, (count, 4)) + 1e-3
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    manifest = make_manifest(
        rng.integers(0, 5, count).astype(str).tolist(),
        sequence=[None if number < 3 else f"s{number}" for number in rng.integers(0, 8, count)],
        category=rng.choice(["x", "y"], count),
        is_query=rng.random(count) < 0.7,
        is_gallery=rng.random(count) < 0.7,
    )

    def run(ranks: int) -> Report:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "RANKS_AT_ONCE", ranks)
            return evaluate(vectors, manifest)

    assert run(1) == run(1_000_000)


def naive_lists(vectors: np.ndarray, manifest: pd.DataFrame) -> Iterator[tuple[dict, list[tuple[float, int, bool]]]]:
    """Each query, and of all that it may find: -similarity, sample id, whether it is a hit; the nearest first."""
    rows = manifest.to_dict("records")
    for i, query in enumerate(rows):
        if not query["is_query"]:
            continue
        ranked = []
        for j, other in enumerate(rows):
            burst = isinstance(query["sequence"], str) and query["sequence"] == other["sequence"]
            if not other["is_gallery"] or i == j or query["sha256"] == other["sha256"] or burst:
                continue
            similarity = np.float32(sum(float(a) * float(b) for a, b in zip(vectors[i], vectors[j], strict=True)))
            ranked.append((-similarity, other["sample_id"], other["label"] == query["label"]))
        yield query, sorted(ranked)


def naive_report(vectors: np.ndarray, manifest: pd.DataFrame, k: int) -> dict[str, dict[int, float]]:
    """Figure -> sample id of each query with a match -> value, by loops over the definitions (TRAPS.md)."""
    result: dict[str, dict[int, float]] = {}
    for query, ranked in naive_lists(vectors, manifest):
        hits = [hit for _, _, hit in ranked]
        r, n = sum(hits), len(hits)
        if not r:
            continue
        gains = [sum(hits[:rank]) / rank * hits[rank - 1] for rank in range(1, n + 1)]
        figures = {
            f"cmc@{k}": float(any(hits[:k])),
            f"precision@{k}": sum(hits[:k]) / min(k, r, n),
            f"recall@{k}": sum(hits[:k]) / r,
            f"map@{k}": sum(gains[:k]) / min(k, r),
            f"map_hits@{k}": sum(gains[:k]) / max(1, sum(hits[:k])),
            "map@r": sum(gains[:r]) / r,
            "r_precision": sum(hits[:r]) / r,
            "mrr": 1 / (hits.index(True) + 1),
        }
        for name, value in figures.items():
            result.setdefault(name, {})[query["sample_id"]] = value
    return result


def scattered(seed: int, count: int) -> tuple[np.ndarray, pd.DataFrame]:
    """Vectors with many ties, and a manifest with copies, bursts and several categories."""
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-1, 2, (count, 4)) + 1e-3
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return vectors, make_manifest(
        rng.integers(0, 4, count).astype(str).tolist(),
        sha256=[f"{number:x}" for number in rng.integers(0, 3 * count, count)],
        sequence=[None if number < 3 else f"s{number}" for number in rng.integers(0, 8, count)],
        category=rng.choice(["OVERALL", "y", ""], count),
        is_query=rng.random(count) < 0.7,
        is_gallery=rng.random(count) < 0.7,
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 12))
def test_equals_the_naive_loops(seed: int, count: int, k: int) -> None:
    vectors, manifest = scattered(seed, count)
    report = evaluate(vectors, manifest, ks=(k,))
    expected = naive_report(vectors, manifest, k)
    assert report.overall == pytest.approx({name: np.mean(list(values.values())) for name, values in expected.items()})
    judged = set(expected.get("mrr", {}))
    assert report.counts["queries_without_match"] == int(manifest["is_query"].sum()) - len(judged)
    for query in report.queries:
        assert query.average_precision == pytest.approx(expected.get("map@r", {}).get(query.sample_id))
    asked = manifest[manifest["is_query"]]
    assert [category.name for category in report.categories] == sorted(set(asked["category"]) - {""})
    for category in report.categories:
        mine = set(asked.loc[asked["category"] == category.name, "sample_id"])
        assert (category.queries, category.queries_without_match) == (len(mine & judged), len(mine - judged))
        means = (
            {name: [values[pk] for pk in mine & judged] for name, values in expected.items()} if mine & judged else {}
        )
        assert category.metrics == pytest.approx({name: np.mean(values) for name, values in means.items()})


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_fnmr_of_a_category_equals_the_naive_loops(seed: int, count: int) -> None:
    """Its queries' genuine pairs that the overall threshold misses; a category without such a pair has no FNMR."""
    vectors, manifest = scattered(seed, count)
    manifest.loc[0, ["label", "category", "is_query"]] = ["of one sample", "alone", True]
    manifest.loc[1, "label"] = None
    report = evaluate(vectors, manifest, extras=Extras(fmrs=(0.0, 0.3, 1.0), bootstrap=Bootstrap(resamples=5)))
    assert report.verification is not None
    distances: dict[str, list[float]] = {category.name: [] for category in report.categories}
    for query, ranked in naive_lists(vectors, manifest):
        distances.setdefault(query["category"], []).extend(1.0 + float(value) for value, _, hit in ranked if hit)
    assert distances["alone"] == []
    for category in report.categories:
        own = np.array(distances[category.name])
        expected = {f"fnmr@{p.wanted_fmr}": np.mean(own >= p.threshold) for p in report.verification.points if len(own)}
        found = {name: value for name, value in category.metrics.items() if name.startswith("fnmr")}
        assert found == pytest.approx(expected)
        assert {name for name in category.intervals if name.startswith("fnmr")} == set(expected)


def test_a_category_of_all_queries_has_the_figures_of_the_whole() -> None:
    vectors, manifest = drawn()
    report = evaluate(vectors, manifest.assign(category="all"), extras=FULL)
    (category,) = report.categories
    assert report.verification is not None
    fnmrs = {f"fnmr@{point.wanted_fmr}": point.fnmr for point in report.verification.points}
    assert category.metrics == pytest.approx(report.overall | fnmrs, rel=1e-12)
    assert category.intervals == report.intervals


def drawn(count: int = 60) -> tuple[np.ndarray, pd.DataFrame]:
    rng = np.random.default_rng(7)
    labels = np.repeat(np.arange(count // 4), 4)
    vectors = rng.standard_normal((count // 4, 8))[labels] + rng.standard_normal((count, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return vectors, make_manifest([f"label {label}" for label in labels], category=np.where(labels % 3, "x", "y"))


def test_nothing_more_than_was_asked_for() -> None:
    report = evaluate(*drawn())
    assert (report.intervals, report.pcf, report.verification) == ({}, {}, None)
    assert set(report.to_json()) == {"overall", "categories", "counts"}


def test_all_that_can_be_asked_for() -> None:
    vectors, manifest = drawn()
    report = evaluate(vectors, manifest, extras=FULL)
    assert report.overall == evaluate(vectors, manifest).overall
    assert report.pcf == pcf(vectors, FULL.shares)
    assert report.verification is not None
    points = report.verification.points
    assert [point.wanted_fmr for point in points] == list(FULL.fmrs)
    assert set(report.intervals) == {*report.overall, *(f"fnmr@{fmr}" for fmr in FULL.fmrs)}
    figures = report.overall | {f"fnmr@{point.wanted_fmr}": point.fnmr for point in points}
    for name, (low, high) in report.intervals.items():
        assert low <= figures[name] <= high, name
    for category in report.categories:
        assert set(category.intervals) == set(category.metrics) == set(report.intervals)
        assert all(low <= category.metrics[name] <= high for name, (low, high) in category.intervals.items())
    written = report.to_json()
    assert written["intervals"]["overall"] == report.intervals
    assert set(written["intervals"]["categories"]) == {"x", "y"}
    assert set(written["categories"]["x"]) == set(report.intervals)
    assert written["verification"]["points"][0]["fnmr"] == points[0].fnmr
    json.dumps(written, allow_nan=False)


def test_intervals_are_of_the_queries_with_a_match_and_by_label() -> None:
    vectors, manifest = drawn()
    manifest.loc[manifest["label"] == "label 3", "label"] = [f"alone {number}" for number in range(4)]
    how = Bootstrap(resamples=50, by_label=True)
    report = evaluate(vectors, manifest, extras=Extras(bootstrap=how))
    judged = [query for query in report.queries if query.average_precision is not None]
    labels = manifest.set_index("sample_id")["label"].loc[[query.sample_id for query in judged]]
    values = np.array([[query.average_precision] for query in judged], dtype=np.float64)
    expected = ratio_intervals(values, np.ones(len(judged)), pd.factorize(labels)[0], how)
    assert report.intervals["map@r"] == pytest.approx(expected[0])


@pytest.mark.parametrize("flag", ["is_query", "is_gallery"])
def test_extras_of_no_query_or_no_gallery(flag: str) -> None:
    report = evaluate(at_angles(0, 1), make_manifest(["a", "a"], **{flag: False}), extras=FULL)
    assert report.intervals == {}
    assert report.verification is not None
    assert report.verification.points == []
    json.dumps(report.to_json(), allow_nan=False)


def test_half_precision_is_judged_in_float32() -> None:
    vectors, manifest = drawn()
    half = vectors.astype(np.float16)
    assert evaluate(half, manifest, extras=FULL) == evaluate(half.astype(np.float32), manifest, extras=FULL)


def test_a_constant_model_is_judged_the_same_every_time() -> None:
    vectors = np.repeat(at_angles(33), 30, axis=0)
    manifest = make_manifest([str(number % 3) for number in range(30)])
    reports = [evaluate(vectors, manifest) for _ in range(2)]
    assert reports[0] == reports[1]
    assert [neighbour.sample_id for neighbour in reports[0].queries[5].neighbours][:6] == [100, 101, 102, 103, 104, 106]
