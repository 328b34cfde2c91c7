"""Steps as text."""

import pytest

from mlcore.config.postprocess import (
    AdaptiveThreshold,
    ConstantThreshold,
    GalleryAugmentation,
    QueryExpansion,
    Rerank,
    SNorm,
    parse,
)
from mlcore.errors import InputError


def test_one_step() -> None:
    assert parse("rerank:k1=20,k2=6") == (Rerank(k1=20, k2=6),)
    assert parse("threshold:least=-0.5") == (ConstantThreshold(least=-0.5),)
    assert parse("") == ()


def test_a_chain_with_spaces() -> None:
    steps = parse(" dba:k=3 + qe: alpha = 2 + snorm + adaptive:deviations=1.5,top=10 ")
    assert steps == (
        GalleryAugmentation(k=3),
        QueryExpansion(alpha=2),
        SNorm(),
        AdaptiveThreshold(deviations=1.5, top=10),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("reranking", ["reranking", "'rerank'"]),
        ("rerank:k3=1,k1=0", ["rerank.k3", "rerank.k1"]),
        ("rerank:k1", ["write k1 as k1=value"]),
        ("qe:k=x+csls:k=y", ["qe.k", "csls.k"]),
        ("threshold", ["threshold.least is missing. Write threshold:least=value."]),
        ("csls:kk=3", ["csls.kk: There is no such setting. Choose one of: k, candidates."]),
        ("csls:k=0", ["csls.k: 0 will not do. It should be greater than 0."]),
        ("rerank+qe", ["rerank + qe do not follow each other", "The order: dba"]),
        ("rerank+csls", ["rerank + csls"]),
        ("qe+qe", ["qe + qe"]),
    ],
)
def test_every_fault_is_named(text: str, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert [word for word in words if word not in str(caught.value)] == []
