"""Errors as answers: a page, a notice where htmx asked, a problem document (RFC 9457) under /api/."""

from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from apps.core.errors import KindredError

MEDIA_TYPE = "application/problem+json"
API = "/api/"


def problem(status: int, detail: str, **more: Any) -> JsonResponse:
    """`{"type", "title", "status", "detail", "remedy"?, ...}`, whatever the request accepts: who failed must read why.

    The type is about:blank, so the title is the status's own phrase, as the RFC asks.
    """
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail} | more
    return JsonResponse(body, status=status, content_type=MEDIA_TYPE)


def problem_of(error: KindredError) -> JsonResponse:
    remedy = {"remedy": error.remedy} if error.remedy else {}
    return problem(error.status, error.detail, **(error.extra | remedy))


def error_answer(request: HttpRequest, error: KindredError) -> HttpResponse:
    """The answer to whoever asked."""
    if request.path.startswith(API):
        return problem_of(error)
    template = "core/_error.html" if request.headers.get("HX-Request") else "core/error.html"
    return render(request, template, {"error": error}, status=error.status)
