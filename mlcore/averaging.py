"""Averaged weights: an exponential moving average of what the optimizer makes (Polyak, Juditsky 1992)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Averaged:
    """The average of a network's weights. Early on it forgets faster, so that the first, random weights do not linger.

    What is no floating-point number, such as the count of batches, is copied.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network, self.decay, self.updates = network, decay, 0
        self.weights: dict[str, Tensor] = {key: value.detach().clone() for key, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the weights as they are now."""
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 10))
        for key, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.weights[key].lerp_(value, 1 - decay)
            else:
                self.weights[key].copy_(value)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the network has the averaged weights."""
        own = {key: value.detach().clone() for key, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.weights)
        try:
            yield
        finally:
            self.network.load_state_dict(own)

    def state(self) -> dict[str, object]:
        return {"weights": self.weights, "updates": self.updates}

    def restore(self, state: dict[str, object]) -> None:
        self.updates = state["updates"]  # type: ignore[assignment]
        for key, value in state["weights"].items():  # type: ignore[attr-defined]
            self.weights[key].copy_(value)
