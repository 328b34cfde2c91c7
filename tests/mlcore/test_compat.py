"""torchvision beside a CPU build of torch; and the modules that the site imports stay free of torch."""

import subprocess
import sys

import pytest


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)


def test_torchvision_imports_after_compat_and_compat_may_run_twice() -> None:
    done = run(
        "from mlcore import compat; compat.declare_missing_operators(); import torchvision, torch;"
        "print(torch.ops.torchvision.nms, torchvision.models.resnet18)"
    )
    assert done.returncode == 0, done.stderr


def test_operators_that_are_there_already_are_left_alone() -> None:
    done = run(
        "import torch; lib = torch.library.Library('torchvision', 'DEF');"
        "schema = '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor';"
        "[lib.define(name + schema) for name in ('nms', 'qnms')];"
        "from mlcore import compat; import torchvision"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "mlcore.config",
        "mlcore.events",
        "mlcore.errors",
        "mlcore.table",
        "mlcore.manifest",
        "mlcore.images",
        "mlcore.catalogue",
    ],
)
def test_what_the_web_process_uses_loads_no_torch(module: str) -> None:
    done = run(
        f"import sys, {module}; sys.exit(any(name in sys.modules for name in ('torch', 'torchvision', 'faiss')))"
    )
    assert done.returncode == 0, done.stderr
