"""Memory: an evaluation of all against all never holds a table of all pairs. (The full size is in benchmarks/.)"""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from mlcore.evaluate import evaluate
from tests.mlcore.test_evaluate import make_manifest

def peak_mb():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024

count, rng = 20_000, np.random.default_rng(0)
labels = rng.integers(0, count // 5, count)
vectors = rng.standard_normal((count // 5, 32), dtype=np.float32)[labels]
vectors += rng.standard_normal(vectors.shape, dtype=np.float32)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
manifest = make_manifest(labels.astype(str).tolist(), is_gallery=np.arange(count) != int(sys.argv[1]))
evaluate(vectors[:50], manifest[:50])  # what is loaded at first use
before = peak_mb()
evaluate(vectors, manifest)
print(peak_mb() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from Linux's /proc")
@pytest.mark.parametrize("left_out", [-1, 0])  # by halves, and row by row
def test_no_table_of_all_pairs(left_out: int) -> None:
    run = [sys.executable, "-c", SCRIPT, str(left_out)]
    done = subprocess.run(run, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert float(done.stdout) < 300  # MB; a table of bfloat16 would be 800
