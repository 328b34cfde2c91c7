"""What of a network learns, and how fast."""

from typing import TypedDict

from torch import nn

from mlcore.config import Extractor, NetworkConfig, Optimizer
from mlcore.errors import InputError
from mlcore.extractors.network import Network


class ParameterGroup(TypedDict):
    """Parameters with one learning rate: `lr_share` times that of the optimizer."""

    params: list[nn.Parameter]
    lr_share: float


def parameter_groups(
    network: Network, loss: nn.Module, optimizer: Optimizer, extractor: Extractor
) -> list[ParameterGroup]:
    """Everything that learns: the backbone, the head, what the loss holds. What is frozen or empty is absent.

    network: the bare one, not wrapped for several processes. Raises InputError where nothing of it learns.
    """
    backbone_lr = extractor.backbone_lr if isinstance(extractor, NetworkConfig) else 1.0
    of_network = [learning(network.backbone, backbone_lr), learning(network.head, 1.0)]
    if not any(group["params"] for group in of_network):
        raise InputError(f"Nothing of the extractor {extractor.arch} learns: embed with it as it is, or freeze less.")
    return [group for group in [*of_network, learning(loss, optimizer.loss_lr)] if group["params"]]


def learning(module: nn.Module, lr_share: float) -> ParameterGroup:
    return {"params": [each for each in module.parameters() if each.requires_grad], "lr_share": lr_share}
