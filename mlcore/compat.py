"""Lets torchvision be imported beside a CPU build of torch. Imported first by everything that needs torchvision.

torchvision's wheel carries operators compiled for CUDA builds of torch. Beside a CPU build they do not load, and
`import torchvision` fails on registering fake versions of `nms` and `qnms`. Kindred uses neither: declaring them
is enough.
"""

import importlib.util
from pathlib import Path

import torch

_library: torch.library.Library | None = None  # kept, for the declarations go when it is collected


def declare_missing_operators() -> None:
    """Declares `torchvision::nms` and `torchvision::qnms` unless the real ones load. Safe to call again."""
    global _library
    if _library is not None or _real_operators_load():
        return
    _library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            _library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]


def _real_operators_load() -> bool:
    spec = importlib.util.find_spec("torchvision")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for compiled in (file for folder in folders for file in Path(folder).glob("_C*.so")):
        try:
            torch.ops.load_library(str(compiled))  # type: ignore[no-untyped-call]
        except OSError:
            return False
        return hasattr(torch.ops.torchvision, "nms")
    return False


declare_missing_operators()
