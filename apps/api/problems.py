"""What goes wrong in the API, as RFC 9457 problem documents."""

from typing import Any

import structlog
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.urls import Resolver404, resolve
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.views import exception_handler as default_handler
from rest_framework.views import set_rollback

from apps.core.answers import problem, problem_of
from apps.core.errors import KindredError

log = structlog.get_logger(__name__)

REMEDIES: dict[type[Exception], str] = {
    exceptions.ParseError: "Send one JSON document in UTF-8: texts in double quotes, no comma after the last.",
    exceptions.UnsupportedMediaType: "Say what the body is: Content-Type: application/json, or a multipart form.",
}


def exception_handler(exc: Exception, context: dict[str, Any]) -> HttpResponse:
    """What DRF calls for every exception of a view."""
    set_rollback()
    if isinstance(exc, KindredError):
        return problem_of(exc)
    if isinstance(exc, Http404 | ObjectDoesNotExist):
        return problem(404, "There is no such thing, or it is not yours to see.")
    if isinstance(exc, RequestDataTooBig):
        return problem(413, "The request is too large.", remedy="Send less at a time.")
    if isinstance(exc, SuspiciousOperation):
        return problem(400, "The request cannot be read.")
    if isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    if isinstance(exc, exceptions.ValidationError):
        return problem(422, "Some values are missing or wrong.", errors=exc.detail)
    response = default_handler(exc, context)
    if response is None or not isinstance(exc, exceptions.APIException):
        # Answered here, or Django would answer with a page. The traceback goes to the log, the request's id to both.
        log.exception("unforeseen error", exc_info=exc)
        return problem(500, "The site's log says what, under this answer's X-Request-Id.")
    more = {"remedy": REMEDIES[type(exc)]} if type(exc) in REMEDIES else {}
    answer = problem(response.status_code, str(exc.detail), **more)
    for name in ("WWW-Authenticate", "Retry-After"):
        if name in response.headers:
            answer.headers[name] = response.headers[name]
    return answer


@csrf_exempt  # it changes nothing, and the check would read the body
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
    return problem(404, f"There is no {request.path}. The addresses are listed at /api/docs/.")
