"""What Weights & Biases wrote offline, read back from its own file; and that nobody is asked to log in."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlcore.events import Started, StepDone, Validated
from mlcore.loggers import logging_to
from tests.mlcore.loggers.training import RECIPE, train

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
pytest.importorskip("wandb")

BLOCK, FULL, LAST = 32768, 1, 4


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def records(out: Path) -> list[list[Any]]:
    """Of each run's file, the oldest first, all that is in it."""
    from wandb.proto import wandb_internal_pb2

    files = sorted((out / "wandb/wandb").glob("offline-run-*/run-*.wandb"), key=lambda file: file.stat().st_mtime)
    return [[wandb_internal_pb2.Record.FromString(each) for each in pieces(file.read_bytes())] for file in files]


def pieces(data: bytes) -> Iterator[bytes]:
    """LevelDB's log format after a header of 7 bytes: blocks of 32 KiB, records that may go on in the next one."""
    at, whole = 7, b""
    while at + 7 <= len(data):
        left = BLOCK - at % BLOCK
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (FULL, LAST):
            yield whole
            whole = b""


def history(found: list[Any]) -> list[dict[str, Any]]:
    rows = [each.history.item for each in found if each.WhichOneof("record_type") == "history"]
    return [{item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in row} for row in rows]


def test_figures_recipe_and_warnings(tmp_path: Path) -> None:
    events = train("wandb", tmp_path)
    (found,) = records(tmp_path)
    rows = history(found)
    losses = {row["step"]: row["train/loss"] for row in rows if "train/loss" in row}
    assert losses == {each.step: each.loss for each in events if isinstance(each, StepDone)}
    for validation in (each for each in events if isinstance(each, Validated)):
        row = next(row for row in rows if row["step"] == validation.step and "overall/cmc@1" in row)
        assert {name: row[f"overall/{name}"] for name in validation.metrics} == validation.metrics
    assert [row["step"] for row in rows if row.get("warning") == "Mind the step."] == [4]
    (run,) = (each.run for each in found if each.WhichOneof("record_type") == "run")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["loss"]["kind"] == "arcface"
    assert config["steps"] == 4
    (end,) = (each.exit for each in found if each.WhichOneof("record_type") == "exit")
    assert end.exit_code == 0


def test_a_resumed_training_has_the_id_of_its_run(tmp_path: Path) -> None:
    train("wandb", tmp_path, stop_at=3)
    train("wandb", tmp_path, resume=True)
    parts = records(tmp_path)
    assert [[row["step"] for row in history(part) if "train/loss" in row] for part in parts] == [[1, 2, 3], [4]]
    ids = {each.run.run_id for part in parts for each in part if each.WhichOneof("record_type") == "run"}
    assert ids == {(tmp_path / "wandb/run-id.txt").read_text()}


def test_online_without_a_key_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")

    def ask(*_: object) -> str:
        raise AssertionError("It asks.")

    monkeypatch.setattr("builtins.input", ask)
    monkeypatch.setattr("getpass.getpass", ask)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    said: list[str] = []
    with logging_to(["wandb"], tmp_path, RECIPE, say=said.append) as on_event:
        on_event(Started(1, 0, "cpu", 1))
        on_event(StepDone(1, 1, 0.5, 0.1, 1.0))
    assert len(said) == 1
    assert "set WANDB_API_KEY" in said[0]
