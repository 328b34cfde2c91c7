"""Paging by key: a page is found by the last key of the one before, however far down it is."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)
MAX_KEY = 2**63 - 1


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows in rising order of id. `previous` and `following`: the keys of the pages around it; None: there is none."""

    rows: list[Row]
    previous: int | None
    following: int | None


def key_parse(text: str) -> int | None:
    """A key from an address; None for anything that is not one."""
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return None
    return min(int(text), MAX_KEY)


def page_of(rows: QuerySet[Row], *, after: int | None, before: int | None, limit: int) -> Page[Row]:
    """The rows after a key, or those before one, or the first. Two queries at most, none of which counts."""
    if before is not None:
        found = list(rows.filter(pk__lt=before).order_by("-pk")[: limit + 1])
        has_previous, has_next = len(found) > limit, True
        found = found[:limit][::-1]
        if found:
            has_next = rows.filter(pk__gt=found[-1].pk).exists()
    else:
        found = list(rows.filter(pk__gt=after or 0).order_by("pk")[: limit + 1])
        has_next = len(found) > limit
        found = found[:limit]
        has_previous = bool(after) and bool(found) and rows.filter(pk__lt=found[0].pk).exists()
    if not found:
        return Page([], None, None)
    return Page(found, found[0].pk if has_previous else None, found[-1].pk if has_next else None)
