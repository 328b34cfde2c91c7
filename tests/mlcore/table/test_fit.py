"""A preset shrinks to what the train rows can fill, says so, and then passes the guard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlcore.config import PRESETS, BalancedSampler, Recipe, ShuffleSampler
from mlcore.table import Note, TrainFacts, preflight, recipe_fit, train_facts
from tests.mlcore.table.test_guard import VALIDATION, manifest


def train_rows(*sizes: int) -> list[tuple[str, str]]:
    return [(f"label-{label}", "train") for label, size in enumerate(sizes) for _ in range(size)]


def test_facts_count_labels_and_different_samples_of_the_train_split() -> None:
    assert train_facts(manifest(train_rows(3, 1, 2) + VALIDATION)) == TrainFacts(labels=3, most_samples=3)
    assert train_facts(manifest(VALIDATION)) == TrainFacts(labels=0, most_samples=0)
    copies = manifest(train_rows(3, 2), sha256=["same", "same", "same", "1", "2"])
    assert train_facts(copies) == TrainFacts(labels=2, most_samples=2)


def test_what_fits_stays_as_it_is() -> None:
    assert recipe_fit(PRESETS["quick"], TrainFacts(labels=16, most_samples=4)) == (PRESETS["quick"], [])


def test_what_does_not_fit_is_lowered_and_noted() -> None:
    recipe, notes = recipe_fit(PRESETS["quick"], TrainFacts(labels=9, most_samples=3))
    assert recipe == PRESETS["quick"].model_copy(update={"sampler": BalancedSampler(labels=9, instances=3)})
    assert [(note.key, note.asked, note.value) for note in notes] == [("labels", 16, 9), ("instances", 4, 3)]
    assert [str(note) for note in notes] == [
        "16 in the preset; the train split has 9 labels.",
        "4 in the preset; no train label has more than 3 samples.",
    ]


def test_what_somebody_chose_stays() -> None:
    facts = TrainFacts(labels=9, most_samples=3)
    recipe, notes = recipe_fit(PRESETS["quick"], facts, keep=["labels"])
    assert recipe.sampler == BalancedSampler(labels=16, instances=3)
    assert notes == [Note("instances", 4, 3, "no train label has more than 3 samples")]


@pytest.mark.parametrize("facts", [TrainFacts(0, 0), TrainFacts(1, 50), TrainFacts(50, 1)])
def test_where_nothing_can_train_nothing_is_changed(facts: TrainFacts) -> None:
    assert recipe_fit(PRESETS["quick"], facts) == (PRESETS["quick"], [])


def test_a_shuffle_has_nothing_to_fit() -> None:
    recipe = Recipe(sampler=ShuffleSampler(batch_size=64))
    assert recipe_fit(recipe, TrainFacts(labels=2, most_samples=2)) == (recipe, [])


@given(sizes=st.lists(st.integers(1, 6), min_size=2, max_size=20), preset=st.sampled_from(sorted(PRESETS)))
def test_a_fitted_preset_passes_wherever_two_labels_have_two_samples(sizes: list[int], preset: str) -> None:
    rows = manifest(train_rows(*sizes) + VALIDATION)
    fitted, _ = recipe_fit(PRESETS[preset], train_facts(rows))
    errors = [problem for problem in preflight(rows, fitted) if problem.severity == "error"]
    assert (errors == []) == (sum(size >= 2 for size in sizes) >= 2)
    assert isinstance(fitted.sampler, BalancedSampler)
    assert fitted.sampler.labels <= max(16, len(sizes))
