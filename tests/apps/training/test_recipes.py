"""Recipes as text and as knobs."""

import json

import pytest

from apps.training import recipes
from apps.training.services import METRIC_NAMES
from mlcore.config import PRESETS, ArcFace, BalancedSampler, Recipe, ShuffleSampler, Triplet, ViT
from mlcore.table import TrainFacts


@pytest.mark.parametrize("name", list(PRESETS))
def test_text_gives_the_recipe_back(name: str) -> None:
    recipe = PRESETS[name]
    assert recipes.recipe_parse(recipes.recipe_text(recipe)) == recipe
    assert "size: 96  # Side of the square input, in pixels" in recipes.recipe_text(PRESETS["quick"])
    assert recipes.recipe_parse(json.dumps(recipe.model_dump(mode="json"))) == recipe


def test_faults_are_listed_by_the_path_of_their_field() -> None:
    with pytest.raises(recipes.RecipeError) as error:
        recipes.recipe_parse("steps: 0\noptimizer: {lr: fast}\nsampler: {kind: balanced, labels: 1}\ncolour: red\n")
    assert {problem["column"] for problem in error.value.problems} == {
        "steps",
        "optimizer.lr",
        "sampler.labels",
        "colour",
    }


def test_a_fault_has_its_remedy_beside_it() -> None:
    with pytest.raises(recipes.RecipeError) as error:
        recipes.recipe_parse("extractor: {kind: resnext}")
    (problem,) = error.value.problems
    assert problem == {
        "column": "extractor",
        "message": "There is no kind resnext.",
        "remedy": "Did you mean resnet?",
        "severity": "error",
    }


@pytest.mark.parametrize(
    "text",
    [
        "- a list",
        "just words",
        "a: [1, 2",
        "a: &x [1]\nb: *x",
        "!!python/object/apply:os.system ['true']",
        "x" * (recipes.MAX_TEXT + 1),
        "",
        "\x00",
        "steps: .inf",
        "1: 2",
        "seed: 2020-13-45",
        "[" * 9000,
        "seed: " + "9" * 5000,
        "seed: !!bool x",
        "seed: !!int x",
        "seed: !!timestamp x",
        r'seed: "\UFFFFFFFF"',
        "optimizer: {lr: .inf}",
        "optimizer: {lr: .nan}",
        "amp: 0x" + "f" * 9000,
    ],
)
def test_what_is_no_recipe_is_refused(text: str) -> None:
    with pytest.raises(recipes.RecipeError):
        recipes.recipe_parse(text)


def test_knobs_turn_what_they_name() -> None:
    recipe = recipes.knobs_apply(
        PRESETS["standard"],
        {"steps": 780, "size": 64, "arch": "vit_tiny", "dimension": 99, "loss": "triplet", "lr": 0.5, "seed": 3},
    )
    assert (recipe.steps, recipe.validate_every, recipe.checkpoint_every) == (780, 390, 195)
    assert recipe.extractor == ViT(dimension=99, statistics=True)
    assert recipe.loss == Triplet()
    assert recipes.knobs_of(recipe) | {"labels": 0, "instances": 0} == {
        "steps": 780,
        "size": 64,
        "arch": "vit_tiny",
        "dimension": 99,
        "loss": "triplet",
        "lr": 0.5,
        "labels": 0,
        "instances": 0,
        "seed": 3,
        "statistics": True,
    }


def test_the_same_loss_keeps_its_settings() -> None:
    recipe = Recipe(loss=ArcFace(margin=0.5))
    assert recipes.knobs_apply(recipe, {"loss": "arcface"}) == recipe


def test_labels_a_batch_make_a_shuffle_balanced() -> None:
    recipe = recipes.knobs_apply(Recipe(sampler=ShuffleSampler()), {"labels": 5, "instances": 3})
    assert recipe.sampler.model_dump() == {"kind": "balanced", "labels": 5, "instances": 3}


def test_batch_knobs_follow_the_preset_as_far_as_the_photos_go() -> None:
    recipe = Recipe(steps=7, sampler=BalancedSampler(labels=5, instances=5))
    fitted, notes = recipes.batch_fit(recipe, "quick", TrainFacts(labels=9, most_samples=8), own=())
    assert fitted == Recipe(steps=7, sampler=BalancedSampler(labels=9, instances=4))
    assert [note.key for note in notes] == ["labels"]
    fitted, notes = recipes.batch_fit(recipe, "quick", TrainFacts(labels=9, most_samples=8), own={"labels"})
    assert (fitted.sampler, notes) == (BalancedSampler(labels=5, instances=4), [])
    shuffle = Recipe(sampler=ShuffleSampler())
    assert recipes.batch_fit(shuffle, "quick", TrainFacts(labels=2, most_samples=2), own=()) == (shuffle, [])


def test_metric_names_are_those_that_mlcore_measures() -> None:
    import numpy as np

    from mlcore.retrieval import query_metrics

    one = np.ones((1, 1), dtype=bool)
    assert set(query_metrics(one, one, np.ones(1, dtype=np.int64), (1, 5, 10))) == set(METRIC_NAMES)
