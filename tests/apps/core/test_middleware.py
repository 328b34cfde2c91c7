"""Request ids, large bodies, errors as pages."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as site
from django.test import Client

from apps.accounts.models import User
from kindred import logs

TOO_LARGE = site.MAX_BODY_BYTES + 1


def post(client: Client, path: str, **more: Any) -> Any:
    return client.generic(
        "POST", path, b"a=1", "application/x-www-form-urlencoded", CONTENT_LENGTH=str(TOO_LARGE), **more
    )


@pytest.mark.django_db
def test_a_large_body_is_refused_in_words(client: Client) -> None:
    page = post(client, "/login/")
    assert page.status_code == 413
    assert "The request is larger than 24 MiB." in page.content.decode()
    assert "<html" in page.content.decode()
    notice = post(client, "/login/", headers={"HX-Request": "true"})
    assert notice.status_code == 413
    assert "<html" not in notice.content.decode()


@pytest.mark.django_db
def test_imports_judge_their_size_themselves_but_only_of_people_who_are_signed_in(client: Client, user: User) -> None:
    assert post(client, "/datasets/1/imports/new").status_code == 413
    client.force_login(user)
    assert post(client, "/datasets/1/imports/new").status_code == 404  # let through to its view
    assert post(client, "/datasets/new").status_code == 413


@pytest.mark.django_db
def test_a_host_that_is_not_ours_is_told_in_words(client: Client) -> None:
    page = client.get("/login/", headers={"Host": "evil.example"})
    assert page.status_code == 400
    assert "KINDRED_ALLOWED_HOSTS" in page.content.decode()
    assert page.headers["X-Request-Id"] in page.content.decode()


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The site's log as JSON; gives the lines so far."""
    logs.configure(json=True, level="INFO")
    (console,) = (handler for handler in logging.getLogger().handlers if type(handler) is logging.StreamHandler)
    written = io.StringIO()
    console.setStream(written)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    logs.configure(json=False, level="WARNING")


@pytest.mark.django_db
def test_every_line_of_a_request_has_its_id(client: Client, user: User, lines: Any) -> None:
    client.force_login(user)
    response = client.post("/jobs/1/cancel?secret=1")
    logging.getLogger("apps.elsewhere").warning("outside of a request")
    last, outside = lines()
    assert last["request_id"] == response.headers["X-Request-Id"]
    assert (last["event"], last["method"], last["path"], last["status"]) == ("request", "POST", "/jobs/1/cancel", 404)
    assert (last["user_id"], last["level"]) == (user.pk, "info")
    assert "request_id" not in outside
    assert outside["event"] == "outside of a request"


@pytest.mark.django_db
def test_the_one_time_link_is_not_in_the_log(client: Client, lines: Any) -> None:
    client.get("/setup/a-token-that-nobody-may-read/")
    (line,) = lines()
    assert line["path"] == "/setup/.../"
