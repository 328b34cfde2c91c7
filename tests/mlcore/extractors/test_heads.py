"""Heads: their layers, and the dimension that none of them would give."""

import pytest
import torch
from torch import nn

from mlcore.config import LinearHead, MLPHead, NoHead
from mlcore.errors import InputError
from mlcore.extractors.heads import build_head


def test_a_linear_head_is_one_layer() -> None:
    head = build_head(LinearHead(), features=5, dimension=3)
    assert list(head.state_dict()) == ["weight", "bias"]  # the names in models that are out there
    assert head(torch.zeros(2, 5)).shape == (2, 3)


def test_an_mlp_has_its_hidden_widths() -> None:
    head = build_head(MLPHead(hidden=(7, 4), dropout=0.25), features=5, dimension=3)
    linear = [(each.in_features, each.out_features) for each in head.modules() if isinstance(each, nn.Linear)]
    assert linear == [(5, 7), (7, 4), (4, 3)]
    assert [each.p for each in head.modules() if isinstance(each, nn.Dropout)] == [0.25, 0.25]
    assert head(torch.zeros(1, 5)).shape == (1, 3)  # in training, a batch of one


def test_no_head_needs_the_features_own_length() -> None:
    features = torch.rand(2, 5)
    assert torch.equal(build_head(NoHead(), features=5, dimension=5)(features), features)
    with pytest.raises(InputError, match=r"dimension is 128\. Set it to 5"):
        build_head(NoHead(), features=5, dimension=128)
