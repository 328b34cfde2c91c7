"""Averaged weights."""

import torch
from torch import nn

from mlcore.averaging import Averaged


def test_it_is_the_naive_average() -> None:
    network = nn.Linear(3, 2)
    average = Averaged(network, decay=0.9)
    expected = network.weight.detach().double()
    for update in range(1, 30):
        with torch.no_grad():
            network.weight.add_(torch.randn(2, 3))
        average.update()
        decay = min(0.9, update / (update + 10))
        expected = decay * expected + (1 - decay) * network.weight.detach().double()
    assert torch.allclose(average.weights["weight"].double(), expected, atol=1e-5)


def test_inside_the_network_has_the_average_and_outside_its_own() -> None:
    network = nn.BatchNorm1d(2)
    average = Averaged(network, decay=0.5)
    network(torch.randn(4, 2) + 3)
    average.update()
    own = {key: value.clone() for key, value in network.state_dict().items()}
    with average.in_place():
        assert torch.equal(network.running_mean, average.weights["running_mean"])
        assert not torch.equal(network.running_mean, own["running_mean"])
        assert network.num_batches_tracked == 1
    assert all(torch.equal(value, own[key]) for key, value in network.state_dict().items())


def test_a_restored_average_goes_on_the_same() -> None:
    torch.manual_seed(0)
    network = nn.Linear(2, 2)
    one, other = Averaged(network, 0.9), Averaged(network, 0.9)
    with torch.no_grad():
        network.weight.mul_(3)
    one.update()
    other.restore(one.state())
    with torch.no_grad():
        network.weight.mul_(3)
    one.update()
    other.update()
    assert torch.equal(one.weights["weight"], other.weights["weight"])
