"""Checkpoints are whole or absent, at any moment and on a full disk."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mlcore.checkpoint import file_sha256, read_checkpoint, write_checkpoint
from mlcore.errors import InputError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a.pt"
    sha256 = write_checkpoint(path, {"step": 3, "weights": {"w": torch.arange(4.0)}, "metrics": {"cmc@1": 0.5}})
    state = read_checkpoint(path)
    assert state["step"] == 3
    assert state["weights"]["w"].tolist() == [0, 1, 2, 3]
    assert file_sha256(path) == sha256
    assert os.listdir(path.parent) == ["a.pt"]


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"no zip" * 99, lambda data: b"junk" * 99],
)
def test_a_damaged_file_is_refused(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "a.pt"
    write_checkpoint(path, {"w": torch.zeros(1000)})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"a\.pt"):
        read_checkpoint(path)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("executed",)


def test_a_pickle_posing_as_a_checkpoint_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Evil()))
    torch.save({"w": Evil()}, tmp_path / "zip.pt")
    for name in ("plain.pt", "zip.pt"):
        with pytest.raises(InputError):
            read_checkpoint(tmp_path / name)
    assert not (tmp_path / "executed").exists()


LIMITED = """
import resource, signal, sys, torch
from pathlib import Path
from mlcore.checkpoint import write_checkpoint
path = Path(sys.argv[1])
write_checkpoint(path, {"generation": 1, "w": torch.zeros(10)})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_checkpoint(path, {"generation": 2, "w": torch.zeros(1_000_000)})
except (OSError, RuntimeError) as error:
    sys.exit(0 if isinstance(error, OSError) else 4)
sys.exit(3)
"""


def test_a_full_disk_keeps_the_old_one_and_leaves_no_part(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    done = subprocess.run([sys.executable, "-c", LIMITED, str(path)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read_checkpoint(path)["generation"] == 1
    assert os.listdir(tmp_path) == ["a.pt"]


WRITING = """
import sys, torch
from pathlib import Path
from mlcore.checkpoint import write_checkpoint
generation = 0
while True:
    write_checkpoint(Path(sys.argv[1]), {"generation": generation, "w": torch.full((500_000,), float(generation))})
    generation += 1
    print(generation, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.003, 0.007, 0.012, 0.02])
def test_killed_at_any_moment_a_whole_checkpoint_is_there(tmp_path: Path, delay: float) -> None:
    path = tmp_path / "a.pt"
    writer = subprocess.Popen([sys.executable, "-c", WRITING, str(path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    finished = int(writer.stdout.readline())
    time.sleep(delay)
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    state = read_checkpoint(path)
    assert state["generation"] >= finished - 1
    assert (state["w"] == state["generation"]).all()
