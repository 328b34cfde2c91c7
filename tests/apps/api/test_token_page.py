"""The page where people make and revoke tokens."""

import hashlib
import re
from collections.abc import Callable

from django.test import Client

from apps.accounts.models import ApiToken, User
from apps.accounts.tokens import token_create
from tests.apps.api.conftest import Api

ClientFor = Callable[[User], Client]
SECRET = re.compile(r"kd_[0-9a-f]{8}\.[\w-]{43}")


def make(client: Client, **values: object) -> str:
    response = client.post("/tokens/", {"name": "robot", "scopes": ["read"], "days": "30", **values})
    assert response.status_code == 200
    return response.content.decode()


def test_secret_is_shown_once_and_only_its_hash_is_kept(user: User, client_for: ClientFor) -> None:
    client = client_for(user)
    found = SECRET.search(make(client))
    assert found
    text = found[0]
    token = ApiToken.objects.get()
    assert token.secret_sha256 == hashlib.sha256(text.partition(".")[2].encode()).hexdigest()
    secret = text.partition(".")[2]
    assert not any(secret in str(value) for value in ApiToken.objects.values().get().values())
    page = client.get("/tokens/")
    assert secret not in page.content.decode()
    assert f"kd_{token.prefix}" in page.content.decode()
    assert "no-store" in page.headers["Cache-Control"]

    assert Api(text).get("v1/datasets/").status_code == 200
    token.refresh_from_db()
    assert token.last_used_at is not None
    assert client.post(f"/tokens/{token.pk}/revoke/").status_code == 302
    assert Api(text).get("v1/datasets/").status_code == 401
    assert f"kd_{token.prefix}" not in client.get("/tokens/").content.decode()


def test_how_long_it_is_good(user: User, client_for: ClientFor) -> None:
    client = client_for(user)
    make(client, days="")
    assert ApiToken.objects.get().expires_at is None
    make(client, days="30")
    token = ApiToken.objects.latest("pk")
    assert token.expires_at is not None
    assert (token.expires_at - token.created_at).days in (29, 30)


def test_what_is_refused(user: User, client_for: ClientFor) -> None:
    client = client_for(user)
    for name, bad in [("name", " "), ("scopes", ()), ("scopes", ("rule",)), ("days", "7"), ("name", "x" * 101)]:
        values = {"name": "robot", "scopes": ["read"], "days": "30", name: bad}
        assert client.post("/tokens/", values).status_code == 422
    assert not ApiToken.objects.exists()


def test_other_peoples_tokens(user: User, other_user: User, client_for: ClientFor) -> None:
    token, _ = token_create(user=other_user, name="theirs", scopes=["read"], days=None)
    assert "theirs" not in client_for(user).get("/tokens/").content.decode()
    assert client_for(user).post(f"/tokens/{token.pk}/revoke/").status_code == 404
    token.refresh_from_db()
    assert token.revoked_at is None
    assert Client().get("/tokens/").status_code == 302


def test_names_are_escaped(user: User, client_for: ClientFor) -> None:
    page = make(client_for(user), name="<script>alert(1)</script>")
    assert "<script>alert" not in page
