"""Signing in, the throttle, passwords."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client, RequestFactory
from django.utils import timezone

from apps.accounts import throttle
from apps.accounts.models import LoginAttempt, User

PASSWORD = "correct horse battery"


def attempt(client: Client, username: str, password: str, address: str = "10.0.0.1") -> Any:
    return client.post("/login/", {"username": username, "password": password}, REMOTE_ADDR=address)


def test_signs_in_and_goes_where_it_was_meant_to(client: Client, user: User) -> None:
    response = client.post("/login/?next=/tokens/", {"username": "ada", "password": PASSWORD})
    assert (response.status_code, response.headers["Location"]) == (302, "/tokens/")
    assert client.session["_auth_user_id"] == str(user.pk)


def test_does_not_lead_elsewhere(client: Client, user: User) -> None:
    response = client.post("/login/?next=https://evil.example/", {"username": "ada", "password": PASSWORD})
    assert response.headers["Location"] == "/"


def test_says_the_same_for_a_wrong_name_and_a_wrong_password(client: Client, user: User) -> None:
    User.objects.create_user("gone", password=PASSWORD, is_active=False)
    pages = [attempt(client, name, password) for name, password in (("ada", "x"), ("eve", "x"), ("gone", PASSWORD))]
    assert {page.status_code for page in pages} == {422}
    assert {tuple(page.context["form"].non_field_errors()) for page in pages} == {
        ("This username and password do not go together. Both are case-sensitive.",)
    }


def test_a_name_is_throttled_from_wherever_it_is_guessed(client: Client, user: User) -> None:
    for number in range(settings.LOGIN_ATTEMPTS_PER_15_MINUTES):
        assert attempt(client, "Ada" if number % 2 else "ada", "wrong", f"10.0.1.{number}").status_code == 422
    response = attempt(client, "ada", PASSWORD, "10.0.2.1")  # even with the right one
    assert response.status_code == 429
    assert "Too many attempts" in response.content.decode()
    assert attempt(client, "grace", "wrong", "10.0.2.1").status_code == 422


def test_an_address_is_throttled_whatever_names_it_tries(client: Client, user: User) -> None:
    for number in range(settings.LOGIN_ATTEMPTS_PER_15_MINUTES):
        assert attempt(client, f"name{number}", "wrong").status_code == 422
    assert attempt(client, "ada", PASSWORD).status_code == 429
    assert attempt(client, "ada", PASSWORD, "10.0.0.2").status_code == 302


def test_the_throttle_opens_again_and_old_rows_go(client: Client, user: User) -> None:
    for _ in range(settings.LOGIN_ATTEMPTS_PER_15_MINUTES):
        attempt(client, "ada", "wrong")
    LoginAttempt.objects.update(at=timezone.now() - timedelta(minutes=16))
    assert attempt(client, "ada", PASSWORD).status_code == 302
    LoginAttempt.objects.update(at=timezone.now() - timedelta(days=2))
    throttle.note_failure(username="eve", address=None)
    assert LoginAttempt.objects.count() == 1


def test_a_success_forgives_the_name_but_not_the_address(client: Client, user: User) -> None:
    for _ in range(settings.LOGIN_ATTEMPTS_PER_15_MINUTES - 1):
        attempt(client, "ada", "wrong")
    assert attempt(client, "ada", PASSWORD).status_code == 302
    assert not throttle.is_full(username="ada", address="10.0.0.9")
    Client().post("/login/", {"username": "eve", "password": "x"}, REMOTE_ADDR="10.0.0.1")
    assert throttle.is_full(username="eve", address="10.0.0.1")


@pytest.mark.parametrize(
    ("proxies", "header", "address"),
    [
        (0, "1.1.1.1", "9.9.9.9"),
        (1, "1.1.1.1, 2.2.2.2", "2.2.2.2"),
        (2, "1.1.1.1, 2.2.2.2", "1.1.1.1"),
        (2, "2.2.2.2", "9.9.9.9"),
        (1, "not an address", "9.9.9.9"),
    ],
)
def test_only_our_own_proxies_are_believed(settings: Any, proxies: int, header: str, address: str) -> None:
    settings.PROXIES = proxies
    request = RequestFactory().get("/", headers={"X-Forwarded-For": header}, REMOTE_ADDR="9.9.9.9")
    assert throttle.address_of(request) == address


def test_signing_out_takes_a_post(user: User, client_for: Callable[[User], Client]) -> None:
    client = client_for(user)
    assert client.get("/logout/").status_code == 405
    assert client.post("/logout/").status_code == 302
    assert "_auth_user_id" not in client.session


def test_a_password_is_changed_and_the_session_kept(user: User, client_for: Callable[[User], Client]) -> None:
    client, other = client_for(user), client_for(user)
    form = {"old_password": PASSWORD, "new_password1": "a quite new password", "new_password2": "a quite new password"}
    assert client.post("/password/", form | {"old_password": "wrong"}).status_code == 422
    assert client.post("/password/", form | {"new_password1": "short", "new_password2": "short"}).status_code == 422
    assert client.post("/password/", form).status_code == 302
    user.refresh_from_db()
    assert user.check_password("a quite new password")
    assert client.get("/tokens/").status_code == 200
    assert other.get("/tokens/").status_code == 302
