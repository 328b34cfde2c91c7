"""Request ids, the content security policy, and errors as pages."""

import re
import time
import uuid
from collections.abc import Callable

import structlog
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.utils.functional import SimpleLazyObject

from apps.core.answers import API, error_answer
from apps.core.errors import KindredError, TooLarge

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

    Imports of people who are signed in judge their size themselves, by settings.MAX_UPLOAD_BYTES.
    """

    imports = re.compile(r"^/datasets/\d+/imports/new$")

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        size = int(request.META.get("CONTENT_LENGTH") or 0)  # without a length, no body is read at all
        limit = settings.MAX_API_BODY_BYTES if request.path.startswith(API) else settings.MAX_BODY_BYTES
        if size > limit and not (self.imports.match(request.path) and request.user.is_authenticated):
            words = f"The request is larger than {limit // 2**20} MiB."
            return error_answer(request, TooLarge(words, remedy="Send less at a time."))
        return self.get_response(request)


class ContentSecurityPolicyMiddleware:
    """Sets the site's policy unless the view has set a stricter one of its own."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", settings.CONTENT_SECURITY_POLICY)
        return response


class ErrorMiddleware:
    """Answers a `KindredError` of a view in the form that was asked for."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return error_answer(request, exception) if isinstance(exception, KindredError) else None
