"""What a report holds beyond ranked lists: which of it is left out when, and what it is where there is too little."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from apps.reports import extras
from apps.reports.extras import measure, pair_counts
from mlcore.evaluate import FULL, evaluate


def rows_of(labels: str, *, queries: str = "", gallery: str = "") -> pd.DataFrame:
    """A manifest with a row for each letter, its label; " ": none. queries, gallery: "x" for those that are."""
    count = len(labels)
    return pd.DataFrame(
        {
            "sample_id": range(count),
            "image_key": [f"{number}" for number in range(count)],
            "sha256": [f"{number:064x}" for number in range(count)],
            "label": [label.strip() for label in labels],
            "category": None,
            "sequence": None,
            "split": "validation",
            "is_query": [flag == "x" for flag in queries or "x" * count],
            "is_gallery": [flag == "x" for flag in gallery or "x" * count],
            **{name: pd.array([pd.NA] * count, dtype="Int64") for name in ("x_1", "y_1", "x_2", "y_2")},
        }
    )


def vectors_of(count: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def extras_of(rows: pd.DataFrame) -> dict[str, Any]:
    found = measure(vectors_of(len(rows)), rows)[1]
    return json.loads(json.dumps(found, allow_nan=False))  # as the database takes it: neither NaN nor infinite


@pytest.mark.parametrize(
    ("labels", "queries", "gallery"),
    [("aabbbc", "", ""), ("aabb c", "xx.xxx", ".xxxxx"), ("aaaa", "x...", ".xxx"), ("a", "", ""), ("", "", "")],
)
def test_pairs_are_counted_as_a_loop_does(labels: str, queries: str, gallery: str) -> None:
    rows = rows_of(labels, queries=queries, gallery=gallery)
    pairs = genuine = 0
    for query in rows[rows["is_query"] & (rows["label"] != "")].itertuples():
        for other in rows[rows["is_gallery"] & (rows["label"] != "")].itertuples():
            pairs += 1
            genuine += query.label == other.label
    assert pair_counts(rows) == {"pairs": pairs, "genuine": genuine}


def test_figures_are_those_of_mlcore() -> None:
    rows = rows_of("aabbccdd" * 5)
    report, found = measure(vectors_of(len(rows)), rows)
    assert report == evaluate(vectors_of(len(rows)), rows, extras=FULL)
    assert found["intervals"] == {"confidence": 0.95, "resamples": 1000, "figures": report.intervals}
    assert found["pcf"] == {"embeddings": 40, "dimension": 4, "figures": report.pcf}
    one_is_neither = rows_of("aab", queries="x..", gallery=".x.")
    assert extras_of(one_is_neither)["pcf"]["embeddings"] == 2
    assert report.verification is not None
    assert found["verification"] == report.verification.to_json()


def test_thresholds_keep_to_the_wanted_rate() -> None:
    """By a loop over all pairs."""
    rows = rows_of("aabbccdd" * 5)
    vectors, found = vectors_of(len(rows)), extras_of(rows)["verification"]
    genuine, impostor = [], []
    for one in range(len(rows)):
        for other in range(len(rows)):
            if one != other:
                same = rows["label"][one] == rows["label"][other]
                (genuine if same else impostor).append(1 - float(vectors[one] @ vectors[other]))
    assert (found["genuine"], found["impostor"]) == (len(genuine), len(impostor))
    for point in found["points"]:
        threshold = point["threshold"]
        impostor_below = sum(distance < threshold - 1e-6 for distance in impostor) / len(impostor)
        assert impostor_below <= point["false_match_rate"] + 1e-9 <= point["wanted_fmr"] + 2e-9
        missed = sum(distance >= threshold - 1e-6 for distance in genuine) / len(genuine)
        assert point["fnmr"] == pytest.approx(missed, abs=2 / len(genuine))


@pytest.mark.parametrize("limit", ["MOST_PAIRS", "MOST_GENUINE"])
def test_above_either_limit_verification_alone_is_left_out(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of("aabbcc")  # 36 pairs, 12 of one label
    monkeypatch.setattr(extras, limit, {"MOST_PAIRS": 36, "MOST_GENUINE": 12}[limit])
    assert "verification" in extras_of(rows)
    monkeypatch.setattr(extras, limit, {"MOST_PAIRS": 35, "MOST_GENUINE": 11}[limit])
    found = extras_of(rows)
    assert "verification" not in found
    left_out = found["verification_left_out"]
    assert left_out["pairs"] == 36
    assert left_out["genuine"] == 12
    assert left_out[limit.lower()] == getattr(extras, limit)
    assert "cmc@1" in found["intervals"]["figures"]
    assert not [name for name in found["intervals"]["figures"] if name.startswith("fnmr")]
    assert found["pcf"]["figures"]


def test_the_limits_let_sixty_thousand_samples_pass() -> None:
    assert extras.MOST_PAIRS > 60_000**2
    assert extras.MOST_GENUINE > 60_000 * 100


@pytest.mark.parametrize(
    ("rows", "genuine", "impostor", "figures"),
    [
        pytest.param(rows_of("aaaa"), 12, 0, True, id="one label"),
        pytest.param(rows_of("abcd"), 0, 12, False, id="no two of one label"),
        pytest.param(rows_of("aab", queries="x..", gallery=".xx"), 1, 1, True, id="one query"),
        pytest.param(rows_of("a"), 0, 0, False, id="one sample"),
        pytest.param(rows_of("aa", gallery=".."), 0, 0, False, id="no gallery"),
        pytest.param(rows_of("aa", queries=".."), 0, 0, False, id="no query"),
    ],
)
def test_too_little_has_defined_extras(rows: pd.DataFrame, genuine: int, impostor: int, figures: bool) -> None:
    found = extras_of(rows)
    assert (found["verification"]["genuine"], found["verification"]["impostor"]) == (genuine, impostor)
    assert bool(found["verification"]["points"]) == bool(genuine and impostor)
    assert bool(found["intervals"]["figures"]) == figures
    if found["intervals"]["figures"] and rows["is_query"].sum() == 1:
        low, high = found["intervals"]["figures"]["cmc@1"]
        assert low == high
    assert all(0 <= share <= 1 for share in found["pcf"]["figures"].values())
