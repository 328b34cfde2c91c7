"""What strangers reach: nothing but the explicit list. And what every page sends."""

import re
from collections.abc import Callable

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client

from apps.accounts.models import User
from tests.kindred.site import Address, addresses

# Reached without signing in, and what a stranger gets there.
OPEN = {
    "accounts:login": {200},
    "accounts:setup": {404},  # without a valid token
    "healthz": {200},
    "readyz": {200, 503},
}
METHODS = ["get", "post", "put", "patch", "delete"]

ADDRESSES = addresses()


def is_refused(address: Address, response: HttpResponse) -> bool:
    """Sent to a login page, or 401; or 404 from a catch-all, which has no name."""
    location = response.headers.get("Location", "")
    if response.status_code == 302:
        return location.startswith(("/login/?next=", "/admin/login/?next="))
    return response.status_code == 401 or (response.status_code == 404 and address.name == address.path)


def test_the_walk_sees_every_part_of_the_site() -> None:
    spaces = {address.name.partition(":")[0] for address in ADDRESSES if ":" in address.name}
    assert {"accounts", "admin", "api", "core", "jobs"} <= spaces
    assert not [address.path for address in ADDRESSES if re.search(r"[<>()^$\\]", address.path)]


@pytest.mark.django_db
@pytest.mark.parametrize("method", METHODS)
def test_strangers_are_refused_everywhere_but_the_list(method: str) -> None:
    client = Client(raise_request_exception=False)
    for address in ADDRESSES:
        if address.name in OPEN or address.path == "/admin/login/":
            continue
        response = getattr(client, method)(address.path)
        assert is_refused(address, response), (address, response.status_code)


@pytest.mark.django_db
def test_the_open_list() -> None:
    for name, statuses in OPEN.items():
        path = next(address.path for address in ADDRESSES if address.name == name)
        assert Client().get(path).status_code in statuses, name


@pytest.mark.django_db
def test_the_admin_signs_in_by_the_sites_page() -> None:
    assert Client().get("/admin/login/?next=/admin/jobs/").headers["Location"] == "/login/?next=%2Fadmin%2Fjobs%2F"


def is_walked(address: Address) -> bool:
    return not address.has_arguments and not address.path.startswith(("/api/", "/healthz", "/readyz"))


@pytest.mark.django_db
def test_no_page_needs_what_the_policy_forbids(superuser: User, client_for: Callable[[User], Client]) -> None:
    """Strict policy, no inline script or style: on every page without arguments, the admin's among them."""
    client = client_for(superuser)
    seen = set()
    for address in filter(is_walked, ADDRESSES):
        response = client.get(address.path)
        assert response.status_code < 500, address
        if response.status_code != 200 or not response.headers["Content-Type"].startswith("text/html"):
            continue
        seen.add(address.name)
        policy = response.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy, address
        assert "unsafe" not in policy, address
        text = response.content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")", text), address
        assert not re.search(r"<style\b|\sstyle=|\son(click|load|change|submit|error|input)=", text), address
    assert seen >= {"admin:index", "core:styleguide"}


@pytest.mark.django_db
def test_headers_of_every_answer(client: Client) -> None:
    response = client.get("/login/")
    assert response.headers["Content-Security-Policy"] == settings.CONTENT_SECURITY_POLICY
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert re.fullmatch(r"[0-9a-f]{12}", response.headers["X-Request-Id"])
