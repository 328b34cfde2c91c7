"""Recipes as YAML: printed with explanations, read back the same, and every fault with its key, line and remedy."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlcore.cli import main
from mlcore.cli.recipes import load_recipe
from mlcore.config import PRESETS, MemoryBank, Recipe, Triplet
from mlcore.config.faults import groups_at
from mlcore.config.text import commented
from mlcore.errors import InputError
from mlcore.recipes import PUBLISHED


@pytest.mark.parametrize("name", PRESETS)
def test_a_printed_preset_is_that_preset(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipe", name]) == 0
    text = capsys.readouterr().out
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    assert load_recipe(str(file)) == PRESETS[name]
    assert text.startswith(f"# The recipe {name}.")
    assert "  lr: 0.001  # Peak learning rate\n" in text
    assert "  fit: stretch  # How a photo becomes square; one of: pad, crop, stretch\n" in text
    assert max(map(len, text.splitlines())) <= 120


def kinds(part: str) -> list[Any]:
    return groups_at((part,), {})


@pytest.mark.parametrize(
    "recipe",
    [
        *(Recipe(loss=loss()) for loss in kinds("loss")),
        *(Recipe(sampler=sampler()) for sampler in kinds("sampler")),
        *(Recipe(extractor=extractor()) for extractor in kinds("extractor")),
        Recipe(loss=Triplet(margin=None, memory=MemoryBank()), best_metric="categories/a: b #1/cmc@1"),
        Recipe.model_validate({"optimizer": {"kind": "sgd", "lr": 1e-7, "schedule": {"kind": "step", "at": [0.1]}}}),
    ],
    ids=lambda recipe: f"{recipe.extractor.kind}-{recipe.sampler.kind}-{recipe.loss.kind}-{recipe.optimizer.kind}",
)
def test_any_recipe_survives_its_own_text(recipe: Recipe, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(commented(recipe, "A title"), encoding="utf-8")
    assert load_recipe(str(file)) == recipe
    assert yaml.safe_load(file.read_text()) == recipe.model_dump(mode="json")


def test_the_command_lists_presets_and_changes_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipe"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [*PRESETS, *PUBLISHED]
    assert "quick      resnet18, 96 px, proxy_anchor, 100 steps of 64" in lines
    assert main(["recipe", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [*PRESETS, *PUBLISHED]
    assert main(["recipe", "quick", "--set", "loss.kind=triplet", "--set", "loss.margin=null", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["loss"]["margin"] is None


FAULTS = """\
# a recipe with faults
steps: -1
loss:
  kind: arcface
  margn: 0.2
extractor: {kind: resnett}
sampler:
  labels: 8
optimizer:
  kind: adam
  schedule:
    kind: cosine
    warmup: much
preprocess:
  fit: cut
turbo: 11
"""


def test_every_fault_names_key_line_and_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(FAULTS)
    assert main(["recipe", str(file), "--json", "--set", "seed=one"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert sorted(answer["problems"]) == [
        "extractor (line 6): There is no kind resnett. Did you mean resnet?",
        "loss.margn (line 5): There is no such key. Did you mean margin?",
        "optimizer.kind (line 10): 'adam' is none of the choices. Write 'adamw' or 'sgd'.",
        "optimizer.schedule.warmup (line 13): 'much' will not do. It should be a valid number.",
        "preprocess.fit (line 15): 'cut' is none of the choices. Write 'pad', 'crop' or 'stretch'.",
        "sampler (line 7): The kind is missing. Add kind: balanced or category_balanced or distinct_category "
        "or shuffle.",
        "seed (--set seed=one): 'one' will not do. It should be a valid integer.",
        "steps (line 2): -1 will not do. It should be greater than 0.",
        "turbo (line 16): There is no such key. Choose one of: amp, augment, best_metric, checkpoint_every, compile, "
        "extractor, log_every, loss, optimizer, patience, preprocess, sampler, seed, steps, validate_every, workers.",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps: 1\nseed: 2\nsteps: 3\n", "steps stands in line 1 and in line 3."),
        ("loss:\n  kind: arcface\n  margin: 1\n  margin: 2\n", "loss.margin stands in line 3 and in line 4."),
        ("steps: 1\nloss: {kind\n", "line 3 is not YAML"),
        ("steps: *nothing\n", "line 1 is not YAML"),
        ("steps: !!python/object:os.system 1\n", "line 1 is not YAML"),
        ("loss: &a {kind: *a}\n", "holds itself"),
        ("seed: 2020-99-99\n", "is not YAML"),
        ("seed: .nan\n", "seed (line 1)"),
        ("1: 2\n", "1 (line 1)"),
        ("- steps\n", "must hold the keys of a recipe"),
        ("", "must hold the keys of a recipe"),
        ("loss: {kind: [a]}\n", "loss (line 1)"),
        ("loss: 7\n", "loss (line 1)"),
        ("sampler: {kind: category_balanced, labels: 2}\n", "4 categories do not fit into the 2 labels of a batch"),
    ],
)
def test_what_is_no_recipe_is_refused(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        load_recipe(str(file))
    assert words in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(b"steps: \xff\xfe")
    with pytest.raises(InputError, match="no UTF-8 text"):
        load_recipe(str(tmp_path / "recipe.yaml"))
    with pytest.raises(InputError, match=r"neither a file nor a recipe's name\. Choose one of: demo, quick"):
        load_recipe(str(tmp_path))
    with pytest.raises(InputError, match="Did you mean quick"):
        load_recipe("quikc")


def test_a_kind_that_set_misspells_is_found_by_its_change() -> None:
    with pytest.raises(InputError) as caught:
        load_recipe("quick", ["loss.kind=tripplet"])
    assert caught.value.problems == [
        "loss (--set loss.kind=tripplet): There is no kind tripplet. Did you mean triplet?"
    ]


def test_numbers_may_be_written_as_people_do(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("optimizer: {lr: 1e-4}\n")
    assert load_recipe(str(file)).optimizer.lr == 1e-4
