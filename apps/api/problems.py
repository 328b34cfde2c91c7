"""Errors as RFC 9457 problem documents."""

from typing import Any

from rest_framework.response import Response
from rest_framework.views import exception_handler as default_handler


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    return default_handler(exc, context)
