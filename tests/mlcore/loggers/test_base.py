"""What loggers share: names and steps of figures, one word for what fails, and the end of a run."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from mlcore.cli import main
from mlcore.engine import fit
from mlcore.errors import InputError
from mlcore.events import Event, Message, Started, StepDone, Validated
from mlcore.loggers import LOGGERS, Logger, check_installed, logging_to
from mlcore.loggers.base import flat
from mlcore.loggers.mlflow import allowed
from tests.mlcore.photos import make_photos, small_recipe, write_folder

EVENTS: list[Event] = [
    Started(6, 2, "cpu", 10),
    StepDone(3, 6, 0.5, 0.01, 80.0, {"active": 0.25}),
    Validated(3, {"cmc@1": 0.75, "map@r": 0.5}, is_best=True, sets={"street": {"cmc@1": 0.25}}),
    Message("Careful.", level="warning"),
]


class Lines(Logger):
    """A logger of one's own: it writes lines, and breaks where `broken` says."""

    name = "lines"
    packages = ("json",)
    broken = ""

    def write(self, where: str, text: str) -> None:
        if where == self.broken:
            raise RuntimeError(f"the disk of {where} is full\nand more")
        with (self.folder / "lines.txt").open("a") as file:
            file.write(f"{where} {text}\n")

    def open(self, first_step: int) -> None:
        self.write("open", str(first_step))

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        self.write("figures", f"{step} {dict(figures)}")

    def message(self, text: str, level: str) -> None:
        self.write("message", f"{self.step} {level} {text}")

    def end(self, failed: bool) -> None:
        self.write("end", str(failed))


@pytest.fixture(autouse=True)
def _lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOGGERS, "lines", Lines)


def written(out: Path) -> list[str]:
    return (out / "lines/lines.txt").read_text().splitlines()


def test_every_event_comes_under_its_name_and_step(tmp_path: Path) -> None:
    said: list[str] = []
    seen: list[Event] = []
    recipe = small_recipe()
    with logging_to(["lines", "lines"], tmp_path, recipe, on_event=seen.append, say=said.append) as on_event:
        for event in EVENTS:
            on_event(event)
    assert written(tmp_path) == [
        "open 2",
        "figures 3 {'train/loss': 0.5, 'train/lr': 0.01, 'train/images_per_second': 80.0, 'train/active': 0.25}",
        "figures 3 {'overall/cmc@1': 0.75, 'overall/map@r': 0.5, 'sets/street/cmc@1': 0.25}",
        "message 3 warning Careful.",
        "end False",
    ]
    assert seen == EVENTS
    assert not said


def test_nothing_is_opened_where_nothing_is_reported(tmp_path: Path) -> None:
    with logging_to(["lines"], tmp_path, small_recipe(), say=pytest.fail):
        pass
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_training_ends_the_run_as_failed(tmp_path: Path) -> None:
    def train() -> None:
        with logging_to(["lines"], tmp_path, small_recipe(), say=pytest.fail) as on_event:
            on_event(EVENTS[0])
            raise InputError("The loss is no number.")

    with pytest.raises(InputError, match="no number"):
        train()
    assert written(tmp_path) == ["open 2", "end True"]


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["open", "figures", "message", "end"])
def test_a_logger_that_fails_is_said_once_and_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    monkeypatch.setattr(Lines, "broken", broken)
    manifest, source = make_photos()
    said: list[str] = []
    seen: list[Event] = []
    recipe = small_recipe(steps=2, validate_every=1, checkpoint_every=2)
    with logging_to(["lines"], tmp_path, recipe, on_event=seen.append, say=said.append) as on_event:
        on_event(Message("About to begin."))
        result = fit(recipe, manifest, source=source, out_dir=tmp_path, on_event=on_event, device="cpu")
        on_event(Message("It ended."))
    assert result.model_dir is not None
    assert [each.step for each in seen if isinstance(each, StepDone)] == [1, 2]
    assert len(said) == 1
    assert f"the disk of {broken} is full" in said[0]
    assert "and more" not in said[0]


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_package_that_is_absent_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for package in LOGGERS[name].packages:
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"pip install 'kindred\[{name}\]'"):
        check_installed([name])
    table = write_folder(tmp_path / "photos", *make_photos())
    command = ["train", "--data", str(table), "--out", str(tmp_path / "out"), "--log", name]
    assert main(command) == 2
    assert f"needs the extra `{name}`" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_other_names_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        main(["train", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--log", "paper"])
    assert refusal.value.code == 2
    assert "tensorboard" in capsys.readouterr().err


def test_settings_and_names_are_made_flat_and_allowed() -> None:
    settings = dict(flat(small_recipe().model_dump(mode="json")))
    assert settings["sampler.labels"] == 4
    assert settings["compile"] is False
    assert settings["patience"] == "None"
    assert not [value for value in settings.values() if not isinstance(value, bool | int | float | str)]
    assert allowed("categories/Küche, grey/precision@5") == "categories/Küche_ grey/precision_at_5"
