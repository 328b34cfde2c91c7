"""The faster forms of an extractor: what happens when one gives up after it was chosen."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mlcore.quick import with_fallback


def plain(photos: torch.Tensor) -> NDArray[np.float32]:
    return photos.numpy().astype(np.float32)


def test_a_form_that_fails_later_gives_way_to_the_network_as_it_is() -> None:
    calls = []

    def form(photos: torch.Tensor) -> NDArray[np.float32]:
        calls.append(len(photos))
        if len(photos) == 3:
            raise RuntimeError("partition compile failed")
        return plain(photos) + 1

    embed = with_fallback(form, plain)
    assert embed(torch.zeros(2)).tolist() == [1, 1]
    assert embed(torch.zeros(3)).tolist() == [0, 0, 0]
    assert embed(torch.zeros(2)).tolist() == [0, 0]
    assert calls == [2, 3]


def test_what_the_network_itself_cannot_do_is_raised() -> None:
    def broken(photos: torch.Tensor) -> NDArray[np.float32]:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        with_fallback(broken, broken)(torch.zeros(1))
