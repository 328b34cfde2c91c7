"""Errors as answers: a page, a notice where htmx asked, a problem document (RFC 9457) under /api/."""

import re
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

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
    return render(request, template, {"error": error, "back_url": back_url(request)}, status=error.status)


def back_url(request: HttpRequest) -> str:
    """Where one goes back to from an error, never the address that failed: the page before, the dataset, the start."""
    before = request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(before, {request.get_host()}, require_https=request.is_secure()):
        parts = urlsplit(before)
        path = "/" + parts.path.lstrip("/")  # two slashes would begin another site's address
        address = f"{path}?{parts.query}" if parts.query else path
        if address != request.get_full_path():
            return address
    found = re.match(r"/(?:datasets|search)/(\d{1,18})/", request.path)
    asked = request.GET.get("dataset", "")
    pk = found[1] if found else asked if re.fullmatch(r"[0-9]{1,18}", asked) else ""
    dataset = reverse("datasets:detail", args=[int(pk)]) if pk else ""
    return dataset if dataset and dataset != request.path else reverse("home")
