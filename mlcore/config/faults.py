"""What is wrong with a recipe, in words: the key, what is wrong there, and what to write instead. No torch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from mlcore.config.recipe import Recipe

Place = tuple[str, ...]  # the keys on the way to a value
LONGEST = 80  # characters of a value that are repeated


@dataclass(frozen=True)
class Fault:
    """`message`: a sentence or two; `remedy`: another, empty where nothing is known."""

    place: Place
    message: str
    remedy: str = ""

    @property
    def key(self) -> str:
        """The key as people write it: `loss.margin`."""
        return ".".join(self.place)


def recipe_faults(error: ValidationError, tree: Mapping[str, Any]) -> list[Fault]:
    """All faults that `Recipe.model_validate(tree)` raised, in the order of its fields.

    >>> tree = {"loss": {"kind": "arcface", "margn": 0.2}}
    >>> try:
    ...     Recipe.model_validate(tree)
    ... except ValidationError as error:
    ...     recipe_faults(error, tree)
    [Fault(place=('loss', 'margn'), message='There is no such key.', remedy='Did you mean margin?')]
    """
    return [worded(fault, place_of(fault["loc"], tree), tree) for fault in error.errors()]


def place_of(loc: tuple[int | str, ...], tree: Any) -> Place:
    """The keys to the fault. pydantic's own path also names the kind inside of a group: that is no key."""
    place: list[str] = []
    node, told = tree, True
    for part in loc:
        if not told and isinstance(node, dict) and part == node.get("kind") and len(groups_at(tuple(place), tree)) > 1:
            told = True
            continue
        place.append(str(part))
        node, told = node.get(part) if isinstance(node, dict) else None, False
    return tuple(place)


def worded(fault: Mapping[str, Any], place: Place, tree: Mapping[str, Any]) -> Fault:
    """One of pydantic's errors in words."""
    value, context = shown(fault.get("input")), fault.get("ctx") or {}
    match fault["type"]:
        case "extra_forbidden":
            return Fault(place, "There is no such key.", instead(place[-1], known_keys(place[:-1], tree)))
        case "union_tag_not_found":
            return Fault(place, "The kind is missing.", f"Add kind: {' or '.join(kinds_at(place, tree))}.")
        case "union_tag_invalid":
            kind = str(context.get("tag"))
            return Fault(place, f"There is no kind {kind[:LONGEST]}.", instead(kind, kinds_at(place, tree)))
        case "literal_error":
            return Fault(place, f"{value} is none of the choices.", f"Write {context.get('expected')}.")
        case "missing":
            return Fault(place, "It is missing.", "Add it.")
        case "model_type" | "model_attributes_type":
            return Fault(place, f"{value} will not do, for this is a group of settings.", group_advice(place, tree))
        case "value_error":
            return Fault(place, f"{context.get('error') or fault['msg']}.", "Change one of them.")
        case _:
            wish = str(fault["msg"]).replace("Input should be", "It should be").partition(", unable to")[0]
            return Fault(place, f"{value} will not do.", f"{wish}.")


def shown(value: Any) -> str:
    """A value as it was written, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "A number so long"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def instead(written: str, known: list[str]) -> str:
    """The likeliest of the known names, or all of them."""
    near = get_close_matches(written, known, n=1)
    return f"Did you mean {near[0]}?" if near else f"Choose one of: {', '.join(known)}."


def group_advice(place: Place, tree: Mapping[str, Any]) -> str:
    """What to write where a group was given as one value, such as the name of its kind."""
    key, kinds = ".".join(place), kinds_at(place, tree)
    if value_at(place, tree) in kinds:
        return f"Set {key}.kind to {value_at(place, tree)}."
    if len(kinds) > 1:
        return f"Set {key}.kind to one of: {', '.join(kinds)}."
    return f"Set what is in it, such as {key}.{known_keys(place, tree)[0]}."


def known_keys(place: Place, tree: Mapping[str, Any]) -> list[str]:
    """What may stand in the group at `place`."""
    groups = groups_at(place, tree)
    kind = value_at((*place, "kind"), tree)
    chosen = [group for group in groups if kind_of(group) == kind] or groups
    return sorted({name for group in chosen for name in group.model_fields})


def kinds_at(place: Place, tree: Mapping[str, Any]) -> list[str]:
    return [kind for group in groups_at(place, tree) if (kind := kind_of(group))]


def groups_at(place: Place, tree: Mapping[str, Any]) -> list[type[BaseModel]]:
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
