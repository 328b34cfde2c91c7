"""A recipe by its name or from a YAML file, with single settings changed."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from pydantic import ValidationError

from mlcore.config import PRESETS, Recipe
from mlcore.config.faults import Fault, Place, instead, recipe_faults
from mlcore.errors import InputError
from mlcore.recipes import PUBLISHED
from mlcore.table import Note, recipe_fit, train_facts

NAMED = [*PRESETS, *PUBLISHED]
Origins = dict[Place, str]  # where a key was written: "line 3", "--set steps=5"


def load_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """`name`: a preset, a published recipe or a YAML file. `changes`: `a.b=value`, the value in YAML.

    Raises InputError that names every faulty key, the line or the change it comes from, and what to write instead.
    """
    if name in PRESETS:
        tree: dict[str, Any] = PRESETS[name].model_dump(mode="json")
        origins: Origins = {}
    else:
        tree, origins = read_yaml(PUBLISHED.get(name, Path(name)))
    set_all(tree, origins, changes, example="loss.kind=triplet")
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        problems = [fault_text(fault, origins) for fault in recipe_faults(error, tree)]
        raise InputError(f"The recipe {name} is not valid.", problems) from None


def fault_text(fault: Fault, origins: Origins) -> str:
    """A fault with the place where its key, or the group that it is in, was written.

    >>> fault_text(Fault(("loss", "margn"), "There is no such key.", "Did you mean margin?"), {("loss",): "line 2"})
    'loss.margn (line 2): There is no such key. Did you mean margin?'
    """
    places = [fault.place[:end] for end in range(len(fault.place), 0, -1)]
    places.append((*fault.place, "kind"))  # where that alone was written, by --set
    origin = next((origins[place] for place in places if place in origins), None)
    return f"{fault.key}{f' ({origin})' if origin else ''}: {fault.message} {fault.remedy}".rstrip()


def fit_preset(recipe: Recipe, name: str, changes: Sequence[str], manifest: pd.DataFrame) -> tuple[Recipe, list[Note]]:
    """A preset's batches as large as the train rows can fill. What somebody wrote, by file or change, stays."""
    if name not in PRESETS:
        return recipe, []
    written = [change.partition("=")[0].strip().removeprefix("sampler.") for change in changes]
    return recipe_fit(recipe, train_facts(manifest), keep=written)


def read_yaml(path: Path) -> tuple[dict[str, Any], Origins]:
    """The tree, and the line of each key. Raises InputError for what is no YAML, or names a key twice."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not YAML: it is no UTF-8 text. Save it as UTF-8.") from None
    except OSError:
        raise InputError(f"{path} is neither a file nor a recipe's name. {instead(str(path), NAMED)}") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        tree = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{path}{line} is not YAML: {error.problem or error.context}. Mend that line.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that is none
        raise InputError(f"{path} is not YAML: {error}") from None
    if not isinstance(tree, dict) or root is None:
        raise InputError(f"{path} must hold the keys of a recipe. `python -m mlcore recipe quick` prints one.")
    origins: Origins = {}
    twins: list[str] = []
    if any(node is above for node, above in nested(root, ())):
        raise InputError(f"{path} has a group that holds itself. Write it out instead of naming it by an anchor.")
    note_lines(root, (), origins, twins)
    if twins:
        raise InputError(f"{path} names keys twice.", twins)
    return tree, origins


def nested(node: yaml.Node, above: tuple[yaml.Node, ...]) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Every group with every group that it lies in; one that holds itself once."""
    yield from ((node, outer) for outer in above)
    if isinstance(node, yaml.CollectionNode) and not any(node is outer for outer in above):
        inner = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
        for part in inner:
            yield from nested(part, (*above, node))


def note_lines(node: yaml.Node, place: tuple[str, ...], origins: Origins, twins: list[str]) -> None:
    """Enters the line of every key at and below a node."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        at = (*place, str(key.value))
        line = f"line {key.start_mark.line + 1}"
        if at in origins:
            twins.append(f"{'.'.join(at)} stands in {origins[at]} and in {line}. Remove one.")
            continue
        origins[at] = line
        note_lines(value, at, origins, twins)


def set_all(tree: dict[str, Any], origins: Origins, changes: Sequence[str], *, example: str) -> None:
    """Enters every `--set key=value`, the value in YAML, and where it was written."""
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals:
            raise InputError(f"--set {change}: write it as key=value, for example {example}.")
        keys = key.strip().split(".")
        set_key(tree, keys, parse_value(change, value))
        origins[tuple(keys)] = f"--set {change}"


def parse_value(change: str, value: str) -> Any:
    try:
        parsed = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError) as error:
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
