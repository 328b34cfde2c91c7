"""Reports before and after."""

import numpy as np
import pytest

from mlcore.config.postprocess import parse
from mlcore.errors import InputError
from mlcore.evaluate import evaluate
from mlcore.postprocess import evaluate_with
from mlcore.retrieval.bootstrap import Bootstrap
from tests.mlcore.retrieval.conftest import clusters
from tests.mlcore.test_evaluate import at_angles, make_manifest


def test_before_is_the_report_without_steps() -> None:
    rng = np.random.default_rng(0)
    vectors = clusters(rng, 60, 6, spread=0.4)
    labels = [f"{number}" for number in rng.integers(0, 12, 60)]
    manifest = make_manifest(labels, category=[name if name < "6" else None for name in labels])
    manifest["is_query"] = rng.random(60) < 0.7
    bootstrap = Bootstrap(resamples=20)
    reports = evaluate_with(
        vectors, manifest, {"none": (), "rerank": parse("rerank:k1=5,k2=2")}, ks=(1, 3), top_k=4, bootstrap=bootstrap
    )
    assert list(reports) == ["before", "none", "rerank"]
    assert reports["before"] == reports["none"]
    plain = evaluate(vectors, manifest, ks=(1, 3), top_k=4)
    assert reports["before"].overall == plain.overall
    assert reports["before"].queries == plain.queries
    assert [category.metrics for category in reports["before"].categories] == [c.metrics for c in plain.categories]
    assert reports["rerank"].counts == plain.counts
    assert reports["rerank"].overall != plain.overall
    assert set(reports["rerank"].intervals) == set(plain.overall)


def test_a_threshold_cuts_the_lists_that_are_judged() -> None:
    # Neighbours of the query at 0: a at 10, b at 20, a at 60 (cosines .985, .940, .5).
    manifest = make_manifest(["a", "a", "b", "a"], is_query=[True, False, False, False])
    manifest["is_gallery"] = [False, True, True, True]
    steps = {text: parse(text) for text in ("threshold:least=0.9", "threshold:least=0.95", "threshold:least=0.99")}
    reports = evaluate_with(at_angles(0, 10, 20, 60), manifest, steps, ks=(1, 2, 3))
    wanted = {"before": (1.0, 1.0, 1.0), "0.9": (0.5, 0.5, 1.0), "0.95": (0.5, 1.0, 1.0), "0.99": (0.0, 0.0, 0.0)}
    for name, (recall, precision, cmc) in wanted.items():
        overall = reports[name if name == "before" else f"threshold:least={name}"].overall
        assert (overall["recall@3"], overall["precision@2"], overall["cmc@1"]) == (
            recall,
            0.5 if name == "before" else precision,
            cmc,
        )
    assert [n.sample_id for n in reports["threshold:least=0.95"].queries[0].neighbours] == [101]


def test_distances_stay_cosine_distances() -> None:
    vectors = at_angles(0, 10, 20, 60)
    manifest = make_manifest(["a", "a", "b", "b"])
    report = evaluate_with(vectors, manifest, {"csls": parse("csls:k=2")})["csls"]
    for query in report.queries:
        for neighbour in query.neighbours:
            a, b = (vectors[sample_id - 100].astype(float) for sample_id in (query.sample_id, neighbour.sample_id))
            assert neighbour.distance == pytest.approx(1 - a @ b, abs=1e-6)


def test_faults_are_named() -> None:
    manifest = make_manifest(["a", "a"])
    with pytest.raises(InputError, match="may not be named"):
        evaluate_with(at_angles(0, 1), manifest, {"before": parse("qe")})
    with pytest.raises(InputError, match="3 embeddings for 2 rows"):
        evaluate_with(at_angles(0, 1, 2), manifest, {})
    with pytest.raises(InputError, match="csls \\+ qe"):
        evaluate_with(at_angles(0, 1), manifest, {"wrong": (*parse("csls"), *parse("qe"))})
    with pytest.raises(InputError, match="1 of 2 embeddings are not of unit length"):
        evaluate_with(at_angles(0, 1), manifest, {"norm": parse("snorm")}, cohort=at_angles(0, 1) * [[1], [2]])
