"""Errors as RFC 9457 problem documents: `{"type", "title", "status", "detail", "remedy"?, ...}`."""

from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, HttpResponsePermanentRedirect, JsonResponse
from django.urls import Resolver404, resolve
from rest_framework import exceptions
from rest_framework.views import exception_handler as default_handler
from rest_framework.views import set_rollback

from apps.core.errors import KindredError

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"


def problem(status: int, title: str, detail: str, **more: Any) -> JsonResponse:
    """The answer itself. JSON whatever the request accepts: a program that failed must be able to read why."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail} | more
    return JsonResponse(body, status=status, content_type=MEDIA_TYPE)


def exception_handler(exc: Exception, context: dict[str, Any]) -> HttpResponse:
    """What DRF calls for every exception of a view."""
    set_rollback()
    if isinstance(exc, KindredError):
        more = {"remedy": exc.remedy} if exc.remedy else {}
        return problem(exc.status, exc.title, exc.detail, **(exc.extra | more))
    if isinstance(exc, Http404 | ObjectDoesNotExist):
        return problem(404, "Not found", "There is no such thing, or it is not yours to see.")
    if isinstance(exc, RequestDataTooBig):
        return problem(413, "Too large", "The request is too large.", remedy="Send less at a time.")
    if isinstance(exc, SuspiciousOperation):
        return problem(400, "Bad request", "The request cannot be read.")
    if isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    if isinstance(exc, exceptions.ValidationError):
        return problem(422, "That cannot be done", "Some values are missing or wrong.", errors=exc.detail)
    response = default_handler(exc, context)
    if response is None or not isinstance(exc, exceptions.APIException):
        # Answered here, or Django would answer with a page. The traceback goes to the log, the request's id to both.
        log.exception("unforeseen error", exc_info=exc)
        return problem(500, "Something went wrong", "The site's log says what, under this answer's X-Request-Id.")
    answer = problem(response.status_code, HTTPStatus(response.status_code).phrase, str(exc.detail))
    for name in ("WWW-Authenticate", "Retry-After"):
        if name in response.headers:
            answer.headers[name] = response.headers[name]
    return answer


def not_found(request: HttpRequest, path: str = "") -> HttpResponse:
    """For every other address under /api/. One slash too many or too few leads on, with method and body kept."""
    other = request.path.removesuffix("/") if request.path.endswith("/") else f"{request.path}/"
    try:
        leads_on = resolve(other).func is not request.resolver_match.func if request.resolver_match else False
    except Resolver404:
        leads_on = False
    if leads_on:
        query = request.META.get("QUERY_STRING", "")
        return HttpResponsePermanentRedirect(f"{other}?{query}" if query else other, preserve_request=True)
    return problem(404, "Not found", f"There is no {request.path}. The addresses are listed at /api/docs/.")
