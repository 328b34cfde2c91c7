"""Pooling: from a feature map `(B, C, H, W)` to one value a channel, `(B, C, 1, 1)`."""

from torch import Tensor, nn

from mlcore.config import NetworkConfig


class GeM(nn.Module):
    """Generalised mean (Radenovic et al. 2019): the mean of `x ** p`, to the power of `1 / p`.

    1 is the average, a large `p` is near the maximum. What is below 1e-6 counts as 1e-6. Float32 inside, and divided by
    the largest value of each map first: no exponent overflows, whatever precision surrounds it.
    """

    def __init__(self, p: float = 3.0) -> None:
        super().__init__()
        self.p = p

    def forward(self, maps: Tensor) -> Tensor:
        values = maps.float().clamp(min=1e-6)
        # GeM of c * x is c * GeM of x: by Euler's theorem the gradient is whole without that of the divisor.
        largest = values.amax((2, 3), keepdim=True).detach()
        shares = (values / largest).pow(self.p).mean((2, 3), keepdim=True)  # (B, C, H, W) -> (B, C, 1, 1), 0..1
        return (largest * shares.pow(1 / self.p)).to(maps.dtype)

    def extra_repr(self) -> str:
        return f"p={self.p:g}"


def build_pool(config: NetworkConfig) -> nn.Module | None:
    """The pooling that a recipe asks for; none where the network keeps its own."""
    match config.pool:
        case "default":
            return None
        case "average":
            return nn.AdaptiveAvgPool2d(1)
        case "max":
            return nn.AdaptiveMaxPool2d(1)
        case "gem":
            return GeM(config.gem_p)


def pool_tokens(tokens: Tensor, pool: nn.Module) -> Tensor:
    """`(B, N, C)` tokens, in whatever order -> `(B, C)`."""
    pooled: Tensor = pool(tokens.transpose(1, 2).unsqueeze(3))  # (B, N, C) -> (B, C, N, 1) -> (B, C, 1, 1)
    return pooled.flatten(1)
