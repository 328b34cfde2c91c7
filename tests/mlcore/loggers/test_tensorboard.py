"""What TensorBoard itself reads back from what was written."""

from pathlib import Path
from typing import Any

import pytest

from mlcore.events import StepDone, Validated
from tests.mlcore.loggers.training import train

pytestmark = pytest.mark.slow
pytest.importorskip("tensorboard")


def read(out: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(out / "tensorboard"))
    found.Reload()
    return found


def figures(found: Any, name: str) -> dict[int, float]:
    return {each.step: each.value for each in found.Scalars(name)}


def test_figures_recipe_and_warnings(tmp_path: Path) -> None:
    events = train("tensorboard", tmp_path)
    found = read(tmp_path)
    done = [each for each in events if isinstance(each, StepDone)]
    validations = [each for each in events if isinstance(each, Validated)]
    assert figures(found, "train/loss") == pytest.approx({each.step: each.loss for each in done})
    assert figures(found, "train/lr") == pytest.approx({each.step: each.lr for each in done})
    assert figures(found, "train/spread") == pytest.approx({each.step: each.logs["spread"] for each in done})
    for name in validations[0].metrics:
        assert figures(found, f"overall/{name}") == pytest.approx(
            {each.step: each.metrics[name] for each in validations}
        )
    texts = {tag: found.Tensors(tag) for tag in found.Tags()["tensors"]}
    assert "Mind the step." in str(texts["warning/text_summary"][0].tensor_proto.string_val)
    assert "kind: arcface" in str(texts["recipe/text_summary"][0].tensor_proto.string_val)
    assert b"loss.kind" in found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content


def steps(found: Any, name: str) -> list[int]:
    return [each.step for each in found.Scalars(name)]


def test_a_resumed_training_goes_on_and_another_begins_anew(tmp_path: Path) -> None:
    train("tensorboard", tmp_path, stop_at=3)
    (tmp_path / "checkpoint-0000003.pt").unlink()  # as if killed: step 3 is done again
    train("tensorboard", tmp_path, resume=True)
    assert steps(read(tmp_path), "train/loss") == [1, 2, 3, 4]
    assert steps(read(tmp_path), "overall/cmc@1") == [0, 2, 4]
    train("tensorboard", tmp_path)
    assert steps(read(tmp_path), "train/loss") == [1, 2, 3, 4]
