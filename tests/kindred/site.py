"""Every address of the site, read from its resolver, so that what comes later is covered too."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.converters import IntConverter, PathConverter, SlugConverter, StringConverter, UUIDConverter

VALUES = {
    IntConverter: 1,
    StringConverter: "x",
    SlugConverter: "x",
    UUIDConverter: uuid.UUID(int=1),
    PathConverter: "x",
}


@dataclass(frozen=True)
class Address:
    name: str  # "accounts:login", or the route where it has no name
    path: str
    has_arguments: bool


def addresses() -> list[Address]:
    """Each pattern once, its arguments filled: numbers with 1, words with x. Static files are no part of it."""
    return list(_walk(get_resolver().url_patterns, "/", "", has_arguments=False))


def _walk(patterns: list[object], prefix: str, space: str, *, has_arguments: bool) -> Iterator[Address]:
    for pattern in patterns:
        assert isinstance(pattern, (URLPattern, URLResolver))
        route, arguments = _filled(pattern)
        if isinstance(pattern, URLResolver):
            inner = f"{space}{pattern.namespace}:" if pattern.namespace else space
            yield from _walk(pattern.url_patterns, prefix + route, inner, has_arguments=has_arguments or arguments)
        else:
            name = f"{space}{pattern.name}" if pattern.name else prefix + route
            yield Address(name, prefix + route, has_arguments or arguments)


def _filled(pattern: URLPattern | URLResolver) -> tuple[str, bool]:
    route = str(pattern.pattern)
    converters = pattern.pattern.converters
    for argument, converter in converters.items():
        value = next((value for kind, value in VALUES.items() if isinstance(converter, kind)), 1)
        route = re.sub(rf"<(?:\w+:)?{argument}>", converter.to_url(value), route)
    if "(?P" in route or route.startswith("^"):  # a regular expression: DRF's formats, the admin's catch-all
        found = re.sub(r"\(\?P<\w+>[^()]*(?:\([^()]*\)[^()]*)*\)", "1", route).strip("^$").replace("\\", "")
        return found.rstrip("?").replace("/?", "/").replace("\\Z", ""), True
    return route, bool(converters)
