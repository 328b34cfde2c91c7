"""PCF against scikit-learn and by hand."""

import numpy as np
import pytest

from mlcore.retrieval import components
from mlcore.retrieval.components import explained_variance, pcf


@pytest.mark.parametrize("shape", [(500, 12), (8, 12), (3000, 5)])
def test_equals_scikit_learn(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    monkeypatch.setattr(components, "ROWS_AT_ONCE", 100)
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal(shape) * np.geomspace(1, 0.1, shape[1]) + 3).astype(np.float32)
    theirs = decomposition.PCA().fit(vectors.astype(np.float64)).explained_variance_ratio_
    assert explained_variance(vectors)[: len(theirs)] == pytest.approx(theirs, abs=1e-9)
    for share in (0.1, 0.5, 0.9, 0.99):
        fitted = decomposition.PCA(n_components=share, svd_solver="full").fit(vectors.astype(np.float64))
        assert pcf(vectors, (share,)) == {f"pcf@{share}": fitted.n_components_ / shape[1]}


@pytest.mark.parametrize("shape", [(500, 12), (8, 12), (3000, 5)])
def test_equals_the_eigenvalues_of_the_covariance(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "ROWS_AT_ONCE", 100)
    rng = np.random.default_rng(1)
    vectors = (rng.standard_normal(shape) * np.geomspace(1, 0.1, shape[1]) + 3).astype(np.float32)
    values = np.sort(np.linalg.eigvals(np.cov(vectors.T.astype(np.float64))).real)[::-1]
    shares = explained_variance(vectors)
    assert shares == pytest.approx(values / values.sum(), abs=1e-9)
    assert (shares >= 0).all()


def test_by_hand() -> None:
    # Variances 8 : 2 along two of four axes.
    vectors = np.array([[2, 0, 7, 0], [-2, 0, 7, 0], [0, 1, 7, 0], [0, -1, 7, 0]], dtype=np.float32)
    assert explained_variance(vectors) == pytest.approx([0.8, 0.2, 0, 0])
    assert pcf(vectors, (0.5, 0.8, 0.81, 1.0)) == {"pcf@0.5": 0.25, "pcf@0.8": 0.25, "pcf@0.81": 0.5, "pcf@1.0": 0.5}
    assert pcf(np.array([[1.0], [2.0]]), (0.5,)) == {"pcf@0.5": 1.0}
    assert pcf(np.zeros((0, 0)), (0.5,)) == {"pcf@0.5": 0.0}


@pytest.mark.parametrize("count", [0, 1, 50])
def test_equal_embeddings_use_no_dimension(count: int) -> None:
    vectors = np.repeat(np.random.default_rng(1).standard_normal((1, 6)).astype(np.float32), count, axis=0)
    assert pcf(vectors, (0.9,)) == {"pcf@0.9": 0.0}


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_bad_shares_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        pcf(np.zeros((2, 2)), (share,))
