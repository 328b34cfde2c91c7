"""What is wrong with a recipe, in words: the key, where it was written, and what to write instead."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel

from mlcore.config import Recipe

Place = tuple[str, ...]
Origins = dict[Place, str]  # where a key was written: "line 3", "--set steps=5"


def fault_text(fault: Mapping[str, Any], tree: dict[str, Any], origins: Origins) -> str:
    """One of pydantic's errors of `Recipe.model_validate(tree)`.

    >>> tree = {"loss": {"kind": "arcface", "margn": 0.2}}
    >>> fault = {"type": "extra_forbidden", "loc": ("loss", "arcface", "margn"), "msg": "", "input": 0.2}
    >>> fault_text(fault, tree, {("loss", "margn"): "line 2"})
    'loss.margn (line 2): There is no such key. Did you mean margin?'
    """
    place = place_of(fault["loc"], tree)
    origin = next((origins[place[:end]] for end in range(len(place), 0, -1) if place[:end] in origins), None)
    return f"{'.'.join(place)}{f' ({origin})' if origin else ''}: {advice(fault, place, tree)}"


def place_of(loc: tuple[int | str, ...], tree: Any) -> Place:
    """The keys to the fault. pydantic's own path also names the kind inside of a group: that is no key."""
    place: list[str] = []
    node = tree
    for part in loc:
        if isinstance(node, dict) and part not in node and part == node.get("kind"):
            continue
        place.append(str(part))
        node = node.get(part) if isinstance(node, dict) else None
    return tuple(place)


def advice(fault: Mapping[str, Any], place: Place, tree: dict[str, Any]) -> str:
    value, context = fault.get("input"), fault.get("ctx") or {}
    match fault["type"]:
        case "extra_forbidden":
            return f"There is no such key. {instead(place[-1], known_keys(place[:-1], tree))}"
        case "union_tag_not_found":
            return f"The kind is missing. Add kind: {' or '.join(kinds_at(place, tree))}."
        case "union_tag_invalid":
            kinds = kinds_at(place, tree)
            return f"There is no kind {context.get('tag')}. {instead(str(context.get('tag')), kinds)}"
        case "literal_error":
            return f"{value!r} is none of the choices. Write {context.get('expected')}."
        case "missing":
            return "It is missing. Add it."
        case "value_error":
            return f"{context.get('error') or fault['msg']}. Change one of them."
        case _:
            wish = str(fault["msg"]).replace("Input should be", "It should be")
            return f"{value!r} will not do. {wish}."


def instead(written: str, known: list[str]) -> str:
    near = get_close_matches(written, known, n=1)
    return f"Did you mean {near[0]}?" if near else f"Choose one of: {', '.join(known)}."


def known_keys(place: Place, tree: dict[str, Any]) -> list[str]:
    """What may stand in the group at `place`."""
    groups = groups_at(place, tree)
    kind = value_at((*place, "kind"), tree)
    chosen = [group for group in groups if kind_of(group) == kind] or groups
    return sorted({name for group in chosen for name in group.model_fields})


def kinds_at(place: Place, tree: dict[str, Any]) -> list[str]:
    return [kind for group in groups_at(place, tree) if (kind := kind_of(group))]


def groups_at(place: Place, tree: dict[str, Any]) -> list[type[BaseModel]]:
    """The kinds of group that may stand at `place`, as the tree's kinds on the way there decide."""
    groups: list[type[BaseModel]] = [Recipe]
    for end, key in enumerate(place, start=1):
        kind = value_at((*place[: end - 1], "kind"), tree)
        of_kind = [group for group in groups if kind_of(group) == kind] or groups
        fields = [group.model_fields[key] for group in of_kind if key in group.model_fields]
        groups = list(dict.fromkeys(group for field in fields for group in models_in(field.annotation)))
    return groups


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The groups of settings that a field's type names, alone or as one of several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def kind_of(group: type[BaseModel]) -> str | None:
    return group.model_fields["kind"].default if "kind" in group.model_fields else None


def value_at(place: Place, tree: Any) -> Any:
    for key in place:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree
