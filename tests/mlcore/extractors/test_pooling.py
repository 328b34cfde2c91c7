"""Pooling against naive float64, and what large exponents do to half precision."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcore.config import ResNet
from mlcore.extractors.pooling import GeM, build_pool, pool_tokens


@settings(deadline=None, max_examples=30)
@given(st.floats(1, 100), st.integers(0, 10_000))
def test_gem_is_the_generalised_mean(p: float, seed: int) -> None:
    maps = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(seed))
    pooled = GeM(p)(maps)
    for item in range(2):
        for channel in range(3):
            values = [max(value, 1e-6) for value in maps[item, channel].flatten().tolist()]
            expected = math.fsum(value**p for value in values) / len(values)
            assert float(pooled[item, channel, 0, 0]) == pytest.approx(expected ** (1 / p), rel=1e-4)


def test_a_large_exponent_does_not_overflow_half_precision() -> None:
    maps = torch.full((1, 1, 2, 2), 300.0, dtype=torch.float16)
    assert float(maps.pow(8).mean()) == math.inf
    assert float(GeM(8)(maps)) == pytest.approx(300, rel=1e-3)
    assert float(GeM(100)(maps.float() * 1000)) == pytest.approx(300_000, rel=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert float(GeM(8)(maps.float())) == pytest.approx(300, rel=1e-5)


def test_the_gradient_of_gem_is_that_of_its_formula() -> None:
    maps = torch.rand(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(GeM(3)(maps).sum(), maps)
    (expected,) = torch.autograd.grad(maps.pow(3).mean((2, 3)).pow(1 / 3).sum(), maps)
    assert torch.allclose(found, expected, rtol=1e-5)
    zeros = torch.zeros(1, 2, 3, 3, requires_grad=True)
    GeM(50)(zeros).sum().backward()
    assert torch.isfinite(zeros.grad).all()


def test_the_kinds() -> None:
    maps = torch.rand(2, 3, 4, 4)
    assert build_pool(ResNet()) is None
    assert torch.equal(build_pool(ResNet(pool="max"))(maps).flatten(1), maps.amax((2, 3)))
    assert torch.allclose(build_pool(ResNet(pool="average"))(maps).flatten(1), maps.mean((2, 3)))
    assert build_pool(ResNet(pool="gem", gem_p=5)).p == 5


def test_tokens_are_pooled_over_their_places() -> None:
    tokens = torch.rand(2, 7, 3)
    assert torch.equal(pool_tokens(tokens, build_pool(ResNet(pool="max"))), tokens.amax(1))
