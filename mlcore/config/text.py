"""A recipe as YAML that explains itself: every setting with what it means and what else it may be."""

import inspect
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mlcore.config import Recipe
from mlcore.config.faults import kind_of, models_in

LINE = 100  # a comment that would end beyond it goes above its setting


def commented(recipe: Recipe, title: str) -> str:
    """YAML that `load_recipe` reads back as the same recipe. `title`: the first line, a comment."""
    return "\n".join([f"# {title}", *group_lines(recipe, "")]) + "\n"


def group_lines(group: BaseModel, indent: str) -> Iterator[str]:
    fields = type(group).model_fields
    for name in sorted(fields, key=lambda name: name != "kind"):  # the kind first: it says what the others are
        value = getattr(group, name)
        comment = comment_of(fields[name])
        if isinstance(value, BaseModel):
            others = [kind for model in models_in(fields[name].annotation) if (kind := kind_of(model))]
            yield f"{indent}{name}:{'  # ' + comment if comment else ''}"
            inner = list(group_lines(value, indent + "  "))
            if len(others) > 1:
                yield from commented_line(f"{indent}  kind: {kind_of(type(value))}", kind_comment(value, others))
                inner = inner[1:]
            yield from inner
        else:
            yield from commented_line(f"{indent}{name}: {scalar(group, name)}", comment)


def commented_line(line: str, comment: str) -> Iterator[str]:
    if not comment:
        yield line
    elif len(line) + len(comment) + 4 <= LINE:
        yield f"{line}  # {comment}"
    else:
        indent = line[: len(line) - len(line.lstrip())]
        yield from (f"{indent}# {part}" for part in folded(comment, LINE - len(indent) - 2))
        yield line


def folded(text: str, width: int) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + len(word) >= width:
            yield line
            line = word
        else:
            line = f"{line} {word}".strip()
    yield line


def kind_comment(group: BaseModel, kinds: list[str]) -> str:
    """What the kind is, in its own words, and the other ones."""
    own = (type(group).__doc__ or "").strip().partition("\n")[0]
    others = ", ".join(kind for kind in kinds if kind != kind_of(type(group)))
    return " ".join(filter(None, [own, f"Others: {others}." if others else ""]))


def comment_of(field: FieldInfo) -> str:
    choices = [repr(each) if each is None else str(each) for each in literals(field.annotation)]
    listed = f"one of: {', '.join(choices)}" if len(choices) > 1 else ""
    return "; ".join(filter(None, [inspect.cleandoc(field.description or ""), listed]))


def literals(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)


def scalar(group: BaseModel, name: str) -> str:
    """A value without groups inside it, on one line."""
    value = group.model_dump(mode="json", include={name})[name]
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("...\n").strip()
