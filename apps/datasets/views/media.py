"""Photos and thumbnails: the one place that gives out media, to those who may see the sample."""

from urllib.parse import quote

from django.conf import settings
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotModified
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from apps.datasets.models import Sample
from apps.datasets.photos import CONTENT_TYPES, THUMB_SIZES, thumb_key, thumb_read
from apps.datasets.views.access import user_of
from mlcore.images import ImageProblem

CACHE = "private, max-age=31536000, immutable"  # what is at such an address never changes
SANDBOX = "default-src 'none'; sandbox"


@require_safe
def thumb(request: HttpRequest, pk: int, size: int) -> HttpResponseBase:
    """The WebP of a sample's photo, cut to its box, at most `size` pixels wide and high."""
    if size not in THUMB_SIZES:
        raise Http404
    sample = _sample(request, pk)
    key = thumb_key(sample, size)
    if _is_known(request, key):
        return HttpResponseNotModified(headers={"ETag": f'"{key}"', "Cache-Control": CACHE})
    try:
        if settings.X_ACCEL_REDIRECT and default_storage.exists(key):
            return _answer(_accelerated(key), "image/webp", key)
        return _answer(HttpResponse(thumb_read(sample, size)), "image/webp", key)
    except (FileNotFoundError, ImageProblem) as error:
        raise Http404 from error


@require_safe
def photo(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The file as it came in, with the type that the decoder saw."""
    sample = _sample(request, pk)
    key = sample.image.key
    if _is_known(request, key):
        return HttpResponseNotModified(headers={"ETag": f'"{key}"', "Cache-Control": CACHE})
    content_type = CONTENT_TYPES.get(sample.image.format, "application/octet-stream")
    if settings.X_ACCEL_REDIRECT:
        return _answer(_accelerated(key), content_type, key)
    try:
        return _answer(FileResponse(default_storage.open(key)), content_type, key)
    except FileNotFoundError as error:
        raise Http404 from error


def _sample(request: HttpRequest, pk: int) -> Sample:
    return get_object_or_404(Sample.objects.for_user(user_of(request)).select_related("image"), pk=pk)


def _is_known(request: HttpRequest, key: str) -> bool:
    """Whether the browser has it: keys name content, so they serve as its tag."""
    return f'"{key}"' in request.headers.get("If-None-Match", "")


def _accelerated(key: str) -> HttpResponse:
    """Leaves the sending to the server in front, whose internal location KINDRED_X_ACCEL_REDIRECT names."""
    return HttpResponse(headers={"X-Accel-Redirect": f"{settings.X_ACCEL_REDIRECT.rstrip('/')}/{quote(key)}"})


def _answer(response: HttpResponseBase, content_type: str, key: str) -> HttpResponseBase:
    response.headers["Content-Type"] = content_type
    response.headers["Content-Disposition"] = "inline"
    response.headers["Cache-Control"] = CACHE
    response.headers["ETag"] = f'"{key}"'
    response.headers["Content-Security-Policy"] = SANDBOX
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
