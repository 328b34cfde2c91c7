"""How bodies are read: JSON of a bounded size and depth."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import RequestDataTooBig
from rest_framework import parsers
from rest_framework.exceptions import ParseError
from rest_framework.request import Request

MAX_BODY_BYTES = 96 * 2**20


def body_check(request: Request) -> None:
    """Raises RequestDataTooBig before anything of the body is read. (Without a length, no body is read at all.)"""
    if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BODY_BYTES:
        raise RequestDataTooBig


class JsonParser(parsers.JSONParser):
    """JSON; too large or too deep a document is refused before it costs anything."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        if parser_context:
            body_check(parser_context["request"])
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None


class MultiPartParser(parsers.MultiPartParser):
    """Files as browsers and curl send them."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        if parser_context:
            body_check(parser_context["request"])
        return super().parse(stream, media_type, parser_context)
