"""Every error under /api/ is an RFC 9457 problem document, also what never reaches a view of the API."""

from http import HTTPStatus
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.test import Client
from rest_framework.throttling import UserRateThrottle

from apps.api.views.resources import DatasetViewSet
from tests.apps.api.conftest import Api, World, assert_problem

TOO_LARGE = str(2**30)
ADDRESSES = ["v1/embeddings", "v1/nothing", "nothing", "docs/", "schema/"]


class OnceADay(UserRateThrottle):
    rate = "1/day"


class Reads(FileUploadHandler):
    """Stands in the way of whoever reads a file out of a body."""

    def new_file(self, *args: Any, **more: Any) -> None:
        raise AssertionError("the body was read")


def test_too_often(api: Api, mine: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DatasetViewSet, "throttle_classes", [OnceADay])
    assert api.get("v1/datasets/").status_code == 200
    response = api.get("v1/datasets/")
    assert_problem(response, 429)
    assert int(response.headers["Retry-After"]) > 80_000


@pytest.mark.parametrize("path", ADDRESSES)
def test_too_large(api: Api, nobody: Api, mine: World, path: str) -> None:
    for caller in (api, nobody):
        response = caller.client.generic("POST", f"/api/{path}", b"{}", "application/json", CONTENT_LENGTH=TOO_LARGE)
        assert_problem(response, 413, "96 MiB")


def test_a_host_that_is_not_ours(api: Api, mine: World) -> None:
    assert_problem(api.client.get("/api/v1/datasets/", headers={"Host": "evil.example"}), 400)


def test_a_strangers_file_is_not_taken_in(db: None, settings: Any) -> None:
    """The check of forged requests would read the form for its token, were it asked at an unknown address."""
    settings.FILE_UPLOAD_HANDLERS = [f"{__name__}.Reads"]
    client = Client(enforce_csrf_checks=True)
    client.cookies[settings.CSRF_COOKIE_NAME] = "a" * 32
    for path in ("/api/v1/nothing", "/api/v1/embeddings", "/api/v1/samples/"):
        response = client.post(path, {"image": SimpleUploadedFile("photo.png", b"photo")})
        assert_problem(response, 404 if path.endswith("nothing") else 401)


@pytest.mark.parametrize(
    ("status", "method", "path"),
    [
        (404, "get", "v1/nothing"),
        (404, "get", "v1/samples/999/"),
        (405, "post", "v1/jobs/"),
        (422, "get", "v1/jobs/?x=1"),
    ],
)
def test_the_title_is_the_statuss_own_phrase(api: Api, mine: World, status: int, method: str, path: str) -> None:
    response = getattr(api.client, method)(f"/api/{path}")
    assert assert_problem(response, status)["title"] == HTTPStatus(status).phrase


def test_what_cannot_be_parsed_says_what_to_send(api: Api, mine: World) -> None:
    response = api.client.post("/api/v1/search", "{'model': 1,}", content_type="application/json")
    assert "double quotes" in assert_problem(response, 400)["remedy"]
    response = api.client.post("/api/v1/search", "model=1", content_type="text/plain")
    assert "Content-Type" in assert_problem(response, 415)["remedy"]
