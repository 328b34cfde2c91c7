"""Further validation sets: measured as the main one, able to decide what is best, refused early when they cannot be."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from mlcore.checkpoint import read_checkpoint, write_checkpoint
from mlcore.config import ArcFace, Optimizer, Recipe
from mlcore.embed import embed_manifest
from mlcore.engine import TrainResult, ValidationSet, checkpoints, fit
from mlcore.engine.validation import Reports
from mlcore.errors import InputError
from mlcore.evaluate import evaluate
from mlcore.events import StepDone, Validated
from mlcore.manifest import as_manifest
from mlcore.model import load_model
from mlcore.report import CategoryReport, Report
from tests.mlcore.photos import MemorySource, make_photos, small_recipe
from tests.mlcore.test_engine import Recorder, assert_same

pytestmark = pytest.mark.slow


def other_set(labels: int = 3, samples: int = 3) -> ValidationSet:
    """Nine samples of labels that no other test photo has; its train rows are left alone."""
    return ValidationSet(*make_photos(train_labels=10, validation_labels=labels, samples=samples))


ALSO = {"other": other_set(), "pair": other_set(labels=2, samples=2)}


def train(
    out: Path,
    recipe: Recipe,
    recorder: Recorder | None = None,
    also: Mapping[str, ValidationSet] = ALSO,
    resume_from: Path | None = None,
) -> TrainResult:
    manifest, source = make_photos()
    recorder = recorder or Recorder()
    return fit(
        recipe,
        manifest,
        source=source,
        out_dir=out,
        on_event=recorder,
        should_stop=recorder.should_stop,
        resume_from=resume_from,
        device="cpu",
        also=also,
    )


def test_each_set_is_measured_as_by_hand_and_changes_nothing_else(tmp_path: Path) -> None:
    recipe = small_recipe(amp="none")
    recorder = Recorder()
    result = train(tmp_path / "with", recipe, recorder)
    assert_same(result, train(tmp_path / "without", recipe, also={}))
    validated = {event.step: event.sets for event in recorder.of(Validated)}
    assert result.best_sets == validated[result.best_step]
    assert result.untrained_sets == validated[0]
    assert list(validated[0]) == ["other", "pair"]
    assert result.model_dir is not None
    embedder = load_model(result.model_dir)
    for name, each in ALSO.items():
        rows = each.manifest[each.manifest["split"] == "validation"].reset_index(drop=True)
        report = evaluate(embed_manifest(embedder, rows, each.source), rows)
        assert report.counts["queries"] == {"other": 9, "pair": 4}[name]
        assert result.best_sets[name] == pytest.approx(report.overall, abs=1e-6)


@pytest.mark.parametrize("place", ["", "categories/round/"])
def test_a_set_may_decide_what_is_best(tmp_path: Path, place: str) -> None:
    settings = {"steps": 8, "validate_every": 1, "optimizer": Optimizer(lr=3e-3)}
    main, recorder = Recorder(), Recorder()
    train(tmp_path / "main", small_recipe(best_metric="map@r", **settings), main)
    result = train(tmp_path / "set", small_recipe(best_metric=f"sets/other/{place}map@r", **settings), recorder)
    validated = recorder.of(Validated)[1:]
    assert [event.sets for event in validated] == [event.sets for event in main.of(Validated)[1:]]
    if not place:
        values = [event.sets["other"]["map@r"] for event in validated]
        assert [event.is_best for event in validated] == [
            value > max(values[:at], default=-1) for at, value in enumerate(values)
        ]
        assert result.best_step == values.index(max(values)) + 1
        assert [event.is_best for event in validated] != [event.is_best for event in main.of(Validated)[1:]]
    assert result.best_metrics == validated[result.best_step - 1].metrics


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cmc@1", 0.1),
        ("overall/cmc@1", 0.1),
        ("categories/a/b/cmc@1", 0.2),
        ("sets/other/cmc@1", 0.3),
        ("sets/other/overall/cmc@1", 0.3),
        ("sets/other/categories/a/b/cmc@1", 0.4),
    ],
)
def test_each_name_finds_its_figure(name: str, value: float) -> None:
    main, other = (
        Report({"cmc@1": overall}, [CategoryReport("a/b", 1, 0, {"cmc@1": category})], {}, [])
        for overall, category in ((0.1, 0.2), (0.3, 0.4))
    )
    assert Reports(main, {"other": other}).figure(name) == value


@pytest.mark.parametrize("stop_at", [2, 3])
def test_a_stopped_and_resumed_training_goes_on_with_its_sets(tmp_path: Path, stop_at: int) -> None:
    recipe = small_recipe(best_metric="sets/other/map@r")
    whole = train(tmp_path / "whole", recipe)
    assert train(tmp_path / "parts", recipe, Recorder(stop_at)).stopped
    resumed = train(tmp_path / "parts", recipe, resume_from=checkpoints(tmp_path / "parts")[-1])
    assert_same(resumed, whole)
    assert (resumed.best_sets, resumed.untrained_sets) == (whole.best_sets, whole.untrained_sets)


def test_a_checkpoint_goes_on_with_its_own_sets_alone(tmp_path: Path) -> None:
    """With others, figures of other photos would be compared with its best one."""
    recipe = small_recipe(best_metric="sets/other/map@r")
    assert train(tmp_path, recipe, Recorder(4)).stopped
    last = checkpoints(tmp_path)[-1]
    moved = ALSO | {"other": ALSO["pair"]}
    for also in ({"other": ALSO["other"]}, ALSO | {"more": ALSO["pair"]}, moved):
        with pytest.raises(InputError, match=r"with further validation sets \(other, pair\)"):
            train(tmp_path, recipe, also=also, resume_from=last)
    older = read_checkpoint(last)
    del older["sets"]
    write_checkpoint(last, older)
    assert train(tmp_path, recipe, also=moved, resume_from=last).model_dir
    without = small_recipe()
    assert train(tmp_path / "without", without, Recorder(4), also={}).stopped
    with pytest.raises(InputError, match="without further validation sets"):
        train(tmp_path / "without", without, resume_from=checkpoints(tmp_path / "without")[-1])


def test_stopped_between_two_sets_it_validates_again(tmp_path: Path) -> None:
    """Asked to stop while the further set is embedded: nothing of that validation is kept."""
    asked: list[str] = []
    source = ALSO["other"].source

    def noticing(key: str) -> bytes:
        asked.append(key)
        return source(key)

    manifest, main_source = make_photos()
    recipe, recorder = small_recipe(), Recorder()
    also = {"first": ValidationSet(ALSO["other"].manifest, noticing), "pair": ALSO["pair"]}
    stopped = fit(
        recipe,
        manifest,
        source=main_source,
        out_dir=tmp_path,
        on_event=recorder,
        should_stop=lambda: bool(asked),
        device="cpu",
        also=also,
    )
    assert stopped.stopped
    assert asked
    assert not recorder.of(Validated)
    assert read_checkpoint(checkpoints(tmp_path)[-1])["progress"]["validated_step"] == -1
    whole = train(tmp_path / "whole", recipe)
    assert_same(train(tmp_path, recipe, also=also, resume_from=checkpoints(tmp_path)[-1]), whole)


@pytest.mark.parametrize("metric", ["sets/elsewhere/cmc@1", "sets/other", "sets"])
def test_a_set_that_is_not_there_is_refused_before_any_work(tmp_path: Path, metric: str) -> None:
    with pytest.raises(InputError) as caught:
        train(tmp_path / "out", small_recipe(best_metric=metric))
    assert any("other, pair" in problem for problem in caught.value.problems)
    with pytest.raises(InputError) as caught:
        train(tmp_path / "out", small_recipe(best_metric=metric), also={})
    assert any("no further validation sets" in problem for problem in caught.value.problems)
    assert not (tmp_path / "out").exists()


def test_a_figure_that_no_set_has_is_refused_before_the_first_step(tmp_path: Path) -> None:
    recorder = Recorder()
    with pytest.raises(InputError, match=r"sets/other/luck, which is not measured\. Choose one of: .*cmc@1"):
        train(tmp_path, small_recipe(best_metric="sets/other/luck"), recorder)
    assert not recorder.of(StepDone)


def test_every_fault_of_every_set_is_listed_before_any_work(tmp_path: Path) -> None:
    manifest, source = make_photos()
    no_validation = manifest[manifest["split"] == "train"]
    leaking = manifest.assign(split="validation", is_query=True, is_gallery=True)
    also = {
        "": ALSO["pair"],
        "a/b": ALSO["pair"],
        "empty": ValidationSet(no_validation, source),
        "leak": ValidationSet(leaking, source),
    }
    with pytest.raises(InputError) as caught:
        train(tmp_path / "out", small_recipe(), also=also)
    problems = caught.value.problems
    for words in (
        "named ''",
        "named 'a/b'",
        "Validation set empty: There is no validation split",
        "Validation set leak: 6 labels are in both splits",
        "Validation set leak: Validation samples of files that train too: 24",
    ):
        assert sum(words in problem for problem in problems) == 1, words
    assert len(problems) == 5
    assert not (tmp_path / "out").exists()


def closed_set() -> tuple[pd.DataFrame, MemorySource]:
    """Two photos of each of six labels train, two of each validate."""
    manifest, source = make_photos(validation_labels=0)
    held_out = manifest.groupby("label").cumcount() >= 2
    split = held_out.map({True: "validation", False: "train"})
    return as_manifest(manifest.assign(split=split, is_query=held_out, is_gallery=held_out)), source


def test_labels_in_both_splits_are_a_choice(tmp_path: Path) -> None:
    manifest, source = closed_set()
    out = tmp_path / "out"
    with pytest.raises(InputError) as caught:
        fit(small_recipe(steps=1), manifest, source=source, out_dir=out, device="cpu")
    assert ["in both splits" in problem for problem in caught.value.problems] == [True]
    result = fit(
        small_recipe(steps=1), manifest, source=source, out_dir=out, device="cpu", shared_labels="warning", also=ALSO
    )
    assert result.model_dir is not None


PROCESS = """
import json, os, sys
from pathlib import Path
from mlcore.config import Recipe
from tests.mlcore.test_validation import train
result = train(Path(sys.argv[1]), Recipe.model_validate_json(sys.argv[2]))
if os.environ["RANK"] == "0":
    figures = [result.best_sets, result.untrained_sets, result.best_step]
    Path(sys.argv[1], "result.json").write_text(json.dumps(figures))
"""


def test_two_processes_measure_the_sets_as_one(tmp_path: Path) -> None:
    """Nine samples of one set are not even, so that a row would show that was counted twice."""
    recipe = small_recipe(amp="none", loss=ArcFace(), steps=4, best_metric="sets/other/map@r")
    alone = train(tmp_path / "one", recipe)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(["platform", "."])}
    script = tmp_path / "process.py"
    script.write_text(PROCESS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    out = tmp_path / "two"
    subprocess.run([*command, str(out), recipe.model_dump_json()], env=environment, check=True, timeout=300)
    best, untrained, best_step = json.loads((out / "result.json").read_text())
    assert best_step == alone.best_step
    for name in ALSO:
        assert best[name] == pytest.approx(alone.best_sets[name], abs=1e-3)
        assert untrained[name] == pytest.approx(alone.untrained_sets[name], abs=1e-3)
