"""Errors as RFC 9457 problem documents: `{"type", "title", "status", "detail", "remedy"?, ...}`."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as default_handler

from apps.core.errors import KindredError

MEDIA_TYPE = "application/problem+json"


def problem(status: int, title: str, detail: str, **more: Any) -> dict[str, Any]:
    return {"type": "about:blank", "title": title, "status": status, "detail": detail} | more


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """What DRF calls for every exception of a view. None (500) only for what nobody foresaw."""
    if isinstance(exc, KindredError):
        more = {"remedy": exc.remedy} if exc.remedy else {}
        body = problem(exc.status, exc.title, exc.detail, **more, **exc.extra)
        return Response(body, status=exc.status, content_type=MEDIA_TYPE)
    if isinstance(exc, Http404):
        exc = exceptions.NotFound("There is no such thing, or it is not yours to see.")
    elif isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    response = default_handler(exc, context)
    if response is None or not isinstance(exc, exceptions.APIException):
        return response
    if isinstance(exc, exceptions.ValidationError):
        body = problem(422, "That cannot be done", "Some values are missing or wrong.", errors=exc.detail)
        response.status_code = 422
    else:
        body = problem(response.status_code, str(exc.default_detail).rstrip("."), str(exc.detail))
    response.data = body
    response.content_type = MEDIA_TYPE
    return response


def not_found(request: HttpRequest, path: str = "") -> HttpResponse:
    """For every other address under /api/."""
    body = problem(404, "Not found", f"There is no {request.path}. The addresses are listed at /api/docs/.")
    return JsonResponse(body, status=404, content_type=MEDIA_TYPE)
