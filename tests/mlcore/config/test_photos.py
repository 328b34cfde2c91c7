"""Augmentations by name."""

import pytest

from mlcore.cli.recipes import load_recipe
from mlcore.config import AUGMENTS, Recipe


@pytest.mark.parametrize("name", AUGMENTS)
def test_a_name_stands_for_its_settings(name: str) -> None:
    recipe = load_recipe("quick", [f"augment={name}"])
    assert recipe.augment == AUGMENTS[name]
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_the_names_are_told_where_a_recipe_explains_itself() -> None:
    text = Recipe.model_fields["augment"].description or ""
    assert text.endswith(", ".join(AUGMENTS))
