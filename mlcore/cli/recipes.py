"""A recipe by the name of a preset or from a YAML file, with single settings changed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from pydantic import ValidationError

from mlcore.config import PRESETS, Recipe
from mlcore.errors import InputError
from mlcore.table import Note, recipe_fit, train_facts


def load_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """`name`: a preset or a YAML file. `changes`: `a.b=value`, the value in YAML. Raises InputError, naming keys."""
    if name in PRESETS:
        tree: dict[str, Any] = PRESETS[name].model_dump(mode="json")
    else:
        tree = read_yaml(Path(name))
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise InputError(f"--set {change}: write it as key=value, for example loss.kind=triplet.")
        set_key(tree, key.strip().split("."), parse_value(change, value))
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise InputError(f"The recipe {name} is not valid.", problems) from None


def fit_preset(recipe: Recipe, name: str, changes: Sequence[str], manifest: pd.DataFrame) -> tuple[Recipe, list[Note]]:
    """A preset's batches as large as the train rows can fill. What somebody wrote, by file or change, stays."""
    if name not in PRESETS:
        return recipe, []
    written = [change.partition("=")[0].strip().removeprefix("sampler.") for change in changes]
    return recipe_fit(recipe, train_facts(manifest), keep=written)


def read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"{path} is neither a file nor a preset. The presets: {', '.join(PRESETS)}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {error}") from None
    if not isinstance(tree, dict):
        raise InputError(f"{path} must hold the keys of a recipe.")
    return tree


def parse_value(change: str, value: str) -> Any:
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InputError(f"--set {change}: the value is not YAML: {error}") from None
    if isinstance(parsed, str):  # YAML takes 1e-3 for text
        try:
            return float(parsed)
        except ValueError:
            return parsed
    return parsed


def set_key(tree: dict[str, Any], keys: list[str], value: Any) -> None:
    """Sets `tree[a][b]...`. Another `kind` drops the settings of the kind before: they may not exist for it."""
    *folders, last = keys
    for folder in folders:
        tree = tree.setdefault(folder, {})
        if not isinstance(tree, dict):
            raise InputError(f"--set {'.'.join(keys)}: {folder} is a value, not a group.")
    if last == "kind" and tree.get("kind") != value:
        tree.clear()
    tree[last] = value
