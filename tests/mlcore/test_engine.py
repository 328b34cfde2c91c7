"""Training end to end on small drawn photos: it learns, stops, goes on exactly, refuses what cannot train."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from mlcore.checkpoint import read_checkpoint, write_checkpoint
from mlcore.config import BalancedSampler, Preprocess, Recipe, ResNet, ShuffleSampler, Triplet
from mlcore.engine import TrainResult, checkpoints, fit
from mlcore.errors import InputError
from mlcore.events import CheckpointWritten, Event, Message, Started, StepDone, Validated
from tests.mlcore.photos import MemorySource, make_photos, small_recipe

pytestmark = pytest.mark.slow


class Recorder:
    """Keeps every event; asks to stop once a step is reached."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.events: list[Event] = []
        self.stop_at = stop_at

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def should_stop(self) -> bool:
        return any(event.step == self.stop_at for event in self.of(StepDone))


def train(
    out_dir: Path,
    recipe: Recipe | None = None,
    recorder: Recorder | None = None,
    resume_from: Path | None = None,
    photos: tuple[pd.DataFrame, MemorySource] | None = None,
) -> TrainResult:
    manifest, source = photos or make_photos()
    recorder = recorder or Recorder()
    return fit(
        recipe or small_recipe(),
        manifest,
        source=source,
        out_dir=out_dir,
        on_event=recorder,
        should_stop=recorder.should_stop,
        resume_from=resume_from,
        device="cpu",
    )


def weights(result: TrainResult) -> dict[str, torch.Tensor]:
    assert result.model_dir is not None
    return load_file(result.model_dir / "weights.safetensors")


def assert_same(one: TrainResult, other: TrainResult) -> None:
    """To the last bit: metrics, and every weight."""
    assert one.best_metrics == other.best_metrics
    assert one.best_step == other.best_step
    assert one.untrained_metrics == other.untrained_metrics
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(tmp_path_factory.mktemp("undisturbed"))


RESNET = small_recipe(extractor=ResNet(dimension=16))


def test_the_events_of_a_training(tmp_path: Path, undisturbed: TrainResult) -> None:
    recorder = Recorder()
    result = train(tmp_path, recorder=recorder)
    assert isinstance(recorder.events[0], Started)
    assert [event.step for event in recorder.of(StepDone)] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in recorder.of(Validated)] == [0, 3, 6]
    assert [event.step for event in recorder.of(CheckpointWritten)] == [2, 4, 6]
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-0000004.pt", "checkpoint-0000006.pt"]
    assert not result.stopped
    assert result.steps == 6
    assert result.best_metrics["cmc@1"] == max(event.metrics["cmc@1"] for event in recorder.of(Validated)[1:])
    assert_same(result, undisturbed)  # the same twice


@pytest.mark.parametrize("stop_at", [1, 2, 3, 5])
def test_a_stopped_and_resumed_training_is_the_undisturbed_one(
    tmp_path: Path, undisturbed: TrainResult, stop_at: int
) -> None:
    recorder = Recorder(stop_at)
    stopped = train(tmp_path, recorder=recorder)
    assert stopped.stopped
    assert stopped.model_dir is None
    assert stopped.steps == stop_at
    last = checkpoints(tmp_path)[-1]
    assert read_checkpoint(last)["progress"]["step"] == stop_at

    recorder = Recorder()
    resumed = train(tmp_path, recorder=recorder, resume_from=last)
    assert recorder.of(Started)[0].first_step == stop_at
    assert [event.step for event in recorder.of(StepDone)] == list(range(stop_at + 1, 7))
    assert_same(resumed, undisturbed)


def test_stopped_before_the_first_validation(tmp_path: Path, undisturbed: TrainResult) -> None:
    manifest, source = make_photos()
    stopped = fit(small_recipe(), manifest, source=source, out_dir=tmp_path, should_stop=lambda: True, device="cpu")
    assert stopped.stopped
    assert_same(train(tmp_path, resume_from=checkpoints(tmp_path)[-1]), undisturbed)


def test_the_number_of_readers_does_not_matter(tmp_path: Path, undisturbed: TrainResult) -> None:
    assert_same(train(tmp_path, small_recipe(workers=2)), undisturbed)


CHILD = """
import sys
from pathlib import Path
from mlcore.config import Recipe
from mlcore.engine import fit
from tests.mlcore.photos import make_photos

out, recipe = Path(sys.argv[1]), Recipe.model_validate_json(sys.argv[2])
manifest, source = make_photos()
fit(recipe, manifest, source=source, out_dir=out, device="cpu", on_event=lambda event: print(event, flush=True))
"""


def test_killed_in_mid_epoch_and_resumed_it_is_the_undisturbed_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path / "killed"), RESNET.model_dump_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        guard = threading.Timer(120, child.kill)
        guard.start()
        assert any(line.startswith("StepDone(step=5,") for line in child.stdout)
        child.send_signal(signal.SIGKILL)
        guard.cancel()
    last = checkpoints(tmp_path / "killed")[-1]
    assert read_checkpoint(last)["progress"]["step"] == 4
    assert_same(train(tmp_path / "killed", RESNET, resume_from=last), train(tmp_path / "undisturbed", RESNET))


def test_it_learns(tmp_path: Path) -> None:
    recipe = small_recipe(extractor=ResNet(dimension=16), steps=25, validate_every=25, checkpoint_every=25)
    result = train(tmp_path, recipe, photos=make_photos(train_labels=12, validation_labels=8))
    assert result.best_metrics["map@r"] > result.untrained_metrics["map@r"]


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": Triplet()},
        {"loss": Triplet(margin=None, miner={"kind": "all"}), "sampler": ShuffleSampler(batch_size=8)},
        {"extractor": ResNet(dimension=8), "preprocess": Preprocess(size=32, fit="pad"), "amp": "none"},
    ],
    ids=["triplet", "soft triplet, shuffled", "resnet without bf16, padded"],
)
def test_other_recipes_train(tmp_path: Path, changes: dict[str, object]) -> None:
    recorder = Recorder()
    result = train(tmp_path, small_recipe(steps=2, **changes), recorder)
    assert result.steps == 2
    assert all(event.loss == event.loss for event in recorder.of(StepDone))


def test_a_constant_model_raises_the_collapse_alarm_once(tmp_path: Path) -> None:
    manifest, source = make_photos()
    same = dict.fromkeys(source.photos, source.photos["0/0.jpg"])  # one photo under every name
    recorder = Recorder()
    train(tmp_path, small_recipe(steps=3, loss=Triplet(), augment={"flip": False, "crop_scale_min": 1, "colour": 0}),
          recorder, photos=(manifest, MemorySource(same)))  # fmt: skip
    warnings = [event.text for event in recorder.of(Message) if event.level == "warning"]
    assert len(warnings) == 1
    assert "collapsed" in warnings[0]


def test_a_full_disk_costs_a_checkpoint_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: TrainResult
) -> None:
    from mlcore.engine import training

    real = training.write_checkpoint

    def full_at_step_4(path: Path, state: dict[str, object]) -> str:
        if path.name == "checkpoint-0000004.pt":
            raise OSError(28, "No space left on device")
        return real(path, state)

    monkeypatch.setattr(training, "write_checkpoint", full_at_step_4)
    recorder = Recorder()
    assert_same(train(tmp_path, recorder=recorder), undisturbed)
    assert any("No space left" in message.text for message in recorder.of(Message))
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-0000002.pt", "checkpoint-0000006.pt"]


@pytest.mark.parametrize(
    ("photos", "words"),
    [
        ({"train_labels": 1}, "label"),
        ({"samples": 1}, "two"),
        ({"validation_labels": 0}, "validation"),
    ],
)
def test_what_cannot_train_is_refused_before_any_work(tmp_path: Path, photos: dict[str, int], words: str) -> None:
    manifest, _ = make_photos(**photos)

    def source(key: str) -> bytes:
        raise AssertionError("no photo may be read")

    with pytest.raises(InputError) as caught:
        fit(small_recipe(), manifest, source=source, out_dir=tmp_path / "out", device="cpu")
    assert caught.value.problems
    assert any(words in problem for problem in caught.value.problems)
    assert not (tmp_path / "out").exists()


def test_a_damaged_photo_is_named(tmp_path: Path) -> None:
    manifest, source = make_photos()
    broken = {**source.photos, "3/1.jpg": source.photos["3/1.jpg"][:300]}
    with pytest.raises(InputError, match=r"3/1\.jpg"):
        train(tmp_path, small_recipe(steps=20), photos=(manifest, MemorySource(broken)))


def test_an_unknown_best_metric_is_refused_before_training(tmp_path: Path) -> None:
    recorder = Recorder()
    with pytest.raises(InputError, match="cmc@1"):
        train(tmp_path, small_recipe(best_metric="overall/cmc@7"), recorder)
    assert not recorder.of(StepDone)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    train(tmp_path, small_recipe(steps=1))
    with pytest.raises(InputError, match="another recipe"):
        train(tmp_path, small_recipe(steps=1, seed=9), resume_from=checkpoints(tmp_path)[-1])


@pytest.mark.parametrize("change", ["label", "sha256", "category"])
def test_a_checkpoint_of_other_rows_is_refused(tmp_path: Path, change: str) -> None:
    manifest, source = make_photos()
    recipe = small_recipe(steps=1)
    train(tmp_path, recipe, photos=(manifest, source))
    others = {"label": "label-1", "sha256": "0" * 64, "category": "round"}
    changed = manifest.assign(**{change: [others[change], *manifest[change][1:]]})
    with pytest.raises(InputError, match="other rows"):
        train(tmp_path, recipe, resume_from=checkpoints(tmp_path)[-1], photos=(changed, source))
    renamed = manifest.assign(path=[f"elsewhere/{path}" for path in manifest["path"]])
    assert train(tmp_path, recipe, resume_from=checkpoints(tmp_path)[-1], photos=(renamed, source)).steps == 1


@pytest.mark.parametrize("state", [{"w": torch.zeros(1)}, {"recipe": '{"former_key": 1}'}])
def test_a_file_that_is_no_checkpoint_of_ours_is_refused(tmp_path: Path, state: dict[str, object]) -> None:
    write_checkpoint(tmp_path / "other.pt", state)
    with pytest.raises(InputError, match="of no training"):
        train(tmp_path, resume_from=tmp_path / "other.pt")


def test_a_training_keeps_no_checkpoints_of_an_earlier_one_and_all_of_its_own(tmp_path: Path) -> None:
    train(tmp_path, small_recipe(steps=8))
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-0000006.pt", "checkpoint-0000008.pt"]
    train(tmp_path, small_recipe(steps=4))
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-0000002.pt", "checkpoint-0000004.pt"]


def test_what_makes_a_poor_training_is_told_at_its_start(tmp_path: Path) -> None:
    recorder = Recorder(stop_at=2)
    recipe = small_recipe(sampler=BalancedSampler(labels=4, instances=5))  # of labels that have four photos
    train(tmp_path, recipe, recorder)
    assert "repeats photos of training labels that have fewer: 6" in recorder.of(Message)[1].text
    assert recorder.events[2] == recorder.of(Message)[1]
    recorder = Recorder()
    train(tmp_path, recipe, recorder, resume_from=checkpoints(tmp_path)[-1])
    assert not recorder.of(Message)


@pytest.mark.parametrize("fast", [True, False])
def test_bf16_is_float32_where_it_is_only_imitated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: bool) -> None:
    monkeypatch.setattr("mlcore.engine.training.has_fast_bf16", lambda device: fast)
    asked, plain = (
        weights(train(tmp_path / amp, small_recipe().model_copy(update={"amp": amp, "steps": 2})))
        for amp in ("bf16", "none")
    )
    assert all(torch.equal(asked[name], plain[name]) for name in plain) is not fast
