"""One training on several processes, started by `torchrun`. Without it everything here is a plain single process.

Every rank embeds its shard of the batch; the loss is computed on the whole batch, on every rank alike. The gradient of
a rank reaches the network through its own shard only, so the gradients of the ranks are summed: together they are the
gradient of the whole batch, as one process would compute it (but for batch normalisation, whose statistics are each
shard's own).
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mlcore.samplers import shard


@dataclass(frozen=True)
class World:
    """Which process this is: `rank` of `size`; `local_rank` numbers those of one host, and picks the device."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """The one that reports and writes."""
        return self.rank == 0


def join(device: str | None = None) -> World:
    """The world that `torchrun` describes in the environment, joined on first use; a world of one without it."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return World()
    world = World(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ.get("LOCAL_RANK", 0)))
    if world.size > 1 and not dist.is_initialized():
        on_cuda = (device or "cuda").startswith("cuda") and torch.cuda.is_available()
        dist.init_process_group("nccl" if on_cuda else "gloo", timeout=timedelta(minutes=30))
    return world


def leave() -> None:
    """Leaves the world that `join` joined."""
    if dist.is_initialized():
        dist.destroy_process_group()


def same_weights(modules: Iterable[nn.Module], world: World) -> None:
    """Gives every rank the first one's parameters and buffers."""
    if world.size > 1:
        for module in modules:
            for value in module.state_dict().values():
                dist.broadcast(value, src=0)


def gather(part: Tensor, total: int, world: World) -> Tensor:
    """Each rank's shard (see `mlcore.samplers.shard`) -> all `total` rows, in order. Own rows keep their gradient."""
    if world.size == 1:
        return part
    sizes = [len(shard(list(range(total)), rank, world.size)) for rank in range(world.size)]
    padded = part.new_zeros(max(sizes), *part.shape[1:])
    padded[: len(part)] = part.detach()
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    whole = [theirs[:size] for theirs, size in zip(parts, sizes, strict=True)]
    whole[world.rank] = part
    return torch.cat(whole)


def sum_gradients(parameters: Iterable[nn.Parameter], world: World) -> None:
    """Adds up what each rank's shard contributed, in one message. Not for a loss's own: those are alike everywhere."""
    if world.size == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    at = 0
    for gradient in gradients:
        gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
        at += gradient.numel()


def agree(flag: bool, world: World, device: str) -> bool:
    """Whether any rank says so: all stop together, or none does."""
    if world.size == 1:
        return flag
    value = torch.tensor([int(flag)], device=device)
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return bool(value.item())
