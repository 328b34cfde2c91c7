"""Request ids, the content security policy, and errors as pages."""

import re
import time
import uuid
from collections.abc import Callable

import structlog
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import SimpleLazyObject

from apps.core.errors import KindredError

log = structlog.get_logger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Gives every request an id, in its log lines and in the `X-Request-Id` header of the answer, and logs it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = uuid.uuid4().hex[:12]
        request.request_id = request_id  # type: ignore[attr-defined]
        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self.get_response(request)
            self._log(request, response, time.perf_counter() - started)
        response.headers["X-Request-Id"] = request_id
        return response

    def _log(self, request: HttpRequest, response: HttpResponse, seconds: float) -> None:
        """One line a request, without query or body."""
        is_routine = request.path.startswith((settings.STATIC_URL, "/healthz", "/readyz"))
        write = log.debug if is_routine else log.info
        write(
            "request",
            method=request.method,
            path=_path_without_secrets(request),
            status=response.status_code,
            ms=round(seconds * 1000, 1),
            user_id=_known_user_id(request),
        )


def _path_without_secrets(request: HttpRequest) -> str:
    match = request.resolver_match
    secret = str(match.kwargs.get("token", "")) if match else ""
    return request.path.replace(secret, "...") if secret else request.path


def _known_user_id(request: HttpRequest) -> int | None:
    """Who asked, if the view wanted to know: this alone asks the database nothing."""
    user = getattr(request, "_cached_user", None) or request.__dict__.get("user")
    return user.pk if isinstance(user, AbstractBaseUser) and not isinstance(user, SimpleLazyObject) else None


class BodyLimitMiddleware:
    """Refuses a large body before anything reads it: the form parser would put it onto the disk, whoever sent it.

    Imports of people who are signed in, and the API, which knows its caller before it reads, judge sizes themselves.
    """

    large = re.compile(r"^/datasets/\d+/imports/new$|^/api/v1/")

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        size = int(request.META.get("CONTENT_LENGTH") or 0)
        if size > settings.MAX_BODY_BYTES and not self._may_be_large(request):
            return HttpResponse("The request is too large.", status=413, content_type="text/plain")
        return self.get_response(request)

    def _may_be_large(self, request: HttpRequest) -> bool:
        if not self.large.match(request.path):
            return False
        return request.path.startswith("/api/") or request.user.is_authenticated


class ContentSecurityPolicyMiddleware:
    """Sets the site's policy unless the view has set a stricter one of its own."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", settings.CONTENT_SECURITY_POLICY)
        return response


class ErrorMiddleware:
    """Shows a `KindredError` as a page, or as a notice where htmx asked."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, KindredError):
            return None
        template = "core/_error.html" if request.headers.get("HX-Request") else "core/error.html"
        return render(request, template, {"error": exception}, status=exception.status)
