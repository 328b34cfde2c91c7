"""Frozen layers stay as they are, and the engine gets what learns, with its rates."""

import copy

import pytest
import torch
from torch import nn

from mlcore.config import ArcFace, MLPHead, Optimizer, ResNet, Triplet, ViT
from mlcore.errors import InputError
from mlcore.extractors import build_extractor, parameter_groups
from mlcore.losses import build_loss
from tests.mlcore.extractors.making import same, tiny


def learning(network: nn.Module) -> list[str]:
    return [name for name, parameter in network.named_parameters() if parameter.requires_grad]


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0, ["conv1.weight", "bn1.weight", "bn1.bias", "layer1.0.weight", "layer1.0.bias"]),
        (0.25, ["bn1.weight", "bn1.bias", "layer1.0.weight", "layer1.0.bias"]),
        (0.5, ["layer1.0.weight", "layer1.0.bias"]),
        (0.75, []),
        (1, []),
    ],
)
def test_the_share_counts_layers_from_the_input(share: float, expected: list[str]) -> None:
    network = tiny(0)
    network.freeze(share)
    rest = [] if share == 1 else ["layer1.1.weight", "layer1.1.bias"]
    assert learning(network.backbone) == [*expected, *rest]


def test_frozen_batch_normalisation_and_dropout_stay_in_evaluation() -> None:
    network = tiny(0)
    network.freeze(0.5)
    network.train()
    layer1 = network.backbone.layer1
    assert [network.backbone.bn1.training, layer1[1].training, layer1[2].training] == [False, True, True]
    before = copy.deepcopy(network.state_dict())
    network(torch.randn(4, 3, 9, 9))
    after = network.state_dict()
    assert torch.equal(before["backbone.bn1.running_mean"], after["backbone.bn1.running_mean"])
    assert not torch.equal(before["backbone.layer1.1.running_mean"], after["backbone.layer1.1.running_mean"])

    network.freeze(1)
    before = copy.deepcopy(network.state_dict())
    images = torch.randn(4, 3, 9, 9)
    assert torch.equal(network.train()(images), network(images))  # no dropout either
    assert same(before, network.state_dict())
    network.freeze(0)
    assert network.train().backbone.bn1.training


def test_a_copy_freezes_its_own_layers() -> None:
    network = tiny(0)
    network.freeze(1)
    other = copy.deepcopy(network)
    other.freeze(0)
    assert other.train().backbone.bn1.training
    assert not network.train().backbone.bn1.training


def test_a_step_leaves_frozen_layers_alone() -> None:
    torch.manual_seed(0)
    config = ResNet(frozen=0.5, dimension=8)
    network = build_extractor(config, size=32).train()
    loss = build_loss(ArcFace(), labels=2, dimension=8)
    groups = parameter_groups(network, loss, Optimizer(), config)
    before = copy.deepcopy(network.backbone.state_dict())
    optimizer = torch.optim.SGD([{"params": group["params"]} for group in groups], lr=1.0)
    loss(network(torch.randn(4, 3, 32, 32)), torch.tensor([0, 0, 1, 1]), torch.arange(4)).value.backward()
    optimizer.step()
    changed = {
        name.split(".")[0] for name, value in network.backbone.state_dict().items() if value.ne(before[name]).any()
    }
    assert changed == {"layer3", "layer4"}


def test_groups_have_their_shares_of_the_rate() -> None:
    config = ViT(backbone_lr=0.1, frozen=0.3, dimension=8, head=MLPHead(hidden=(16,)))
    network = build_extractor(config, size=32)
    loss = build_loss(ArcFace(), labels=3, dimension=8)
    groups = parameter_groups(network, loss, Optimizer(loss_lr=5), config)
    assert [group["lr_share"] for group in groups] == [0.1, 1.0, 5]
    assert groups[0]["params"] == [each for each in network.backbone.parameters() if each.requires_grad]
    assert 0 < len(groups[0]["params"]) < len(list(network.backbone.parameters()))
    assert groups[1]["params"] == list(network.head.parameters())
    assert groups[2]["params"] == list(loss.parameters())


def test_what_is_empty_is_absent_and_nothing_at_all_is_an_error() -> None:
    config = ViT(frozen=1, dimension=8)
    network = build_extractor(config, size=32)
    triplet = build_loss(Triplet(), labels=3, dimension=8)
    assert [group["params"] for group in parameter_groups(network, triplet, Optimizer(), config)] == [
        list(network.head.parameters())
    ]
    bare = tiny(0)
    bare.freeze(1)
    with pytest.raises(InputError, match="freeze less"):
        parameter_groups(bare, build_loss(ArcFace(), labels=3, dimension=6), Optimizer(), ResNet(frozen=1))
