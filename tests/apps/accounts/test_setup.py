"""The one-time link of the first administrator."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core import signing
from django.db import connection
from django.test import Client

from apps.accounts import setup
from apps.accounts.models import User
from apps.accounts.services import administrator_create_first
from apps.core.errors import Conflict

FORM = {"username": "boss", "password1": "a quite new password", "password2": "a quite new password"}


def path() -> str:
    link = setup.link()
    return link[link.index("/setup/") :]


@pytest.mark.django_db
def test_makes_the_administrator_and_signs_them_in_once(client: Client, site_settings: None) -> None:
    address = path()
    assert client.get(address).status_code == 200
    response = client.post(address, FORM)
    assert (response.status_code, response.headers["Location"]) == (302, "/")
    user = User.objects.get()
    assert (user.username, user.is_superuser, user.is_staff) == ("boss", True, True)
    assert client.session["_auth_user_id"] == str(user.pk)
    assert Client().get(address).status_code == 404
    assert Client().post(address, FORM | {"username": "second"}).status_code == 404
    assert User.objects.count() == 1
    assert setup.link() == ""


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change",
    [
        {"password2": "another"},
        {"password1": "short", "password2": "short"},
        {"username": ""},
        {"username": "no spaces"},
    ],
)
def test_a_bad_form_makes_nobody(client: Client, change: dict[str, str]) -> None:
    assert client.post(path(), FORM | change).status_code == 422
    assert not User.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "field"),
    [({"password1": "short", "password2": "short"}, "password1"), ({"password2": "another"}, "password2")],
)
def test_what_is_wrong_stands_where_it_is_and_has_the_cursor(
    client: Client, change: dict[str, str], field: str
) -> None:
    form = client.post(path(), FORM | change).context["form"]
    assert list(form.errors) == [field]
    assert [name for name in form.fields if "autofocus" in str(form[name])] == [field]


@pytest.mark.django_db
def test_a_used_or_wrong_link_leads_to_the_login(client: Client) -> None:
    answer = client.get("/setup/x/")
    assert answer.status_code == 404
    assert "It has been used" in answer.text
    assert 'href="/login/">Sign in</a>' in answer.text


@pytest.mark.django_db
def test_other_tokens_are_not_found(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for token in ("x", signing.dumps("first administrator"), signing.dumps("first administrator", salt="other")):
        assert client.get(f"/setup/{token}/").status_code == 404
    address = path()
    monkeypatch.setattr(setup, "LINK_SECONDS", -1)
    assert client.get(address).status_code == 404


@pytest.mark.django_db
def test_people_without_rights_do_not_close_it() -> None:
    User.objects.create_user("ada", password="correct horse battery")
    assert setup.link()


@pytest.mark.django_db(transaction=True)
def test_two_at_once_make_one() -> None:
    def make(name: str) -> bool:
        try:
            administrator_create_first(username=name, password="a quite new password")
        except Conflict:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(make, ["a", "b", "c", "d"])) == 1
    assert User.objects.count() == 1
