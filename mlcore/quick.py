"""The fastest form of an extractor that still gives its vectors: sought and proven on photos, each time anew."""

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.fx.experimental.optimization import fuse

from mlcore.extractors import Network
from mlcore.model import Embedder

Embed = Callable[[Tensor], NDArray[np.float32]]  # (B, 3, S, S) uint8 -> (B, D) of unit length

PROOF = 16  # photos on which a form is tried
COSINE_MIN = 0.99995  # of its vectors to those of float32: half the error that is allowed


def quick_embed(embedder: Embedder, photos: Tensor) -> Embed:
    """A faster `embedder.embed_batch`, its vectors the same to a cosine of 0.9999, or else that itself.

    photos: `(B, 3, S, S)` uint8, of which the first are tried. A trained network bears bfloat16; one at its beginning,
    whose vectors are nearly the same for all photos, does not always, and float32 is kept then.
    """
    photos = photos[:PROOF]
    expected = embedder.embed_batch(photos)
    for embed in forms(embedder, photos):
        # Whatever a form cannot stomach, there is always the network as it is.
        with suppress(Exception):
            if np.einsum("nd,nd->n", embed(photos), expected).min() > COSINE_MIN:
                return with_fallback(embed, embedder.embed_batch)
    return embedder.embed_batch


def with_fallback(embed: Embed, plain: Embed) -> Embed:
    """The form until it fails on a batch, as a compiler may on another size than it was proven on; then `plain`."""
    chosen = embed

    def run(photos: Tensor) -> NDArray[np.float32]:
        nonlocal chosen
        if chosen is not plain:
            try:
                return chosen(photos)
            except RuntimeError:
                chosen = plain
        return chosen(photos)

    return run


def forms(embedder: Embedder, photos: Tensor) -> Iterator[Embed]:
    """The fastest first. None of them is sure to work."""
    network = folded(embedder.network)
    for bf16 in (True, False):
        if bf16 and not has_fast_bf16(embedder.device):
            continue
        if embedder.device == "cpu":
            with suppress(Exception):
                yield as_embed(embedder, traced(network, embedder.preprocess.normalise(photos[:2]), bf16), bf16)
        yield as_embed(embedder, network, bf16)


def as_embed(embedder: Embedder, network: Network, bf16: bool) -> Embed:
    @torch.inference_mode()
    def embed(photos: Tensor) -> NDArray[np.float32]:
        batch = embedder.preprocess.normalise(photos.to(embedder.device))
        with torch.autocast(batch.device.type, torch.bfloat16, enabled=bf16):
            embeddings: NDArray[np.float32] = network(batch).float().cpu().numpy()
        return embeddings

    return embed


def folded(network: Network) -> Network:
    """A copy, in evaluation, with each batch normalisation of the backbone folded into the convolution before it.

    The network itself where it cannot be followed: to follow it raises whatever its code does on meeting a stand-in.
    """
    network.eval()
    with suppress(Exception):
        return network.with_backbone(fuse(network.backbone).to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    return network


def traced(network: Network, batch: Tensor, bf16: bool) -> Network:
    """What follows a convolution (bias, sum, ReLU) computed along with it, by oneDNN: a sixth faster on a CPU.

    Only in the backbone: oneDNN refuses the statistics. TorchScript is on its way out, and its successor takes a minute
    to compile. Traced on a batch `(b, 3, S, S)` of another size than it is proven on, so that code that takes the size
    for a constant is found out.
    """
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.jit.enable_onednn_fusion(True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16, cache_enabled=False):
            trace = torch.jit.trace(network.backbone, batch, check_trace=False)  # type: ignore[no-untyped-call]
    # Of what was traced here TorchScript keeps all that it compiles, weights included, as long as the process lives.
    released = torch.jit.load(io.BytesIO(trace.save_to_buffer()))  # type: ignore[no-untyped-call]
    return network.with_backbone(torch.jit.freeze(released))


def has_fast_bf16(device: str) -> bool:
    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
