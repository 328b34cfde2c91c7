"""Who reaches what: no login, other people's things, too little scope, too low a role, dead tokens."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps.accounts.models import ApiToken, Role, User
from apps.accounts.tokens import SCOPES, token_create, token_revoke
from apps.datasets.models import Sample
from apps.jobs.models import Job
from tests.apps.api.conftest import DIMENSION, SPACE, Api, World, assert_problem

NOUNS = ["datasets", "labels", "samples", "models", "runs", "jobs"]
ENDPOINTS = [
    *[("get", f"v1/{noun}/") for noun in NOUNS],
    *[("get", f"v1/{noun}/1/") for noun in NOUNS],
    ("patch", "v1/samples/1/"),
    ("post", "v1/jobs/1/cancel/"),
    ("post", "v1/embeddings"),
    ("post", "v1/search"),
    ("get", "schema/"),
]
VECTOR = {"vector": [1.0] * DIMENSION, "space": SPACE}


def call(api: Api, method: str, path: str) -> object:
    return api.get(path) if method == "get" else api.send(method, path, {})


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_anonymous(nobody: Api, mine: World, method: str, path: str) -> None:
    response = call(nobody, method, path)
    assert_problem(response, 401)
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="Kindred"'  # type: ignore[attr-defined]


def test_anonymous_page_leads_to_login(nobody: Api, db: None) -> None:
    assert nobody.get("docs/").status_code == 302


@pytest.mark.parametrize(
    "kind", ["garbage", "no dot", "odd", "wrong secret", "revoked", "expired", "inactive", "empty"]
)
def test_dead_tokens(user: User, mine: World, kind: str) -> None:
    token, text = token_create(user=user, name="test", scopes=["read"], days=1)
    assert Api(text).get("v1/datasets/").status_code == 200
    match kind:
        case "garbage":
            text = "kd_abcdef01.nothing"
        case "no dot":
            text = "nothing"
        case "odd":
            text = "kd_\x00\xff.\x00"
        case "wrong secret":
            text = text[:-1] + ("A" if text[-1] != "A" else "B")
        case "revoked":
            token_revoke(token=token)
        case "expired":
            ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        case "inactive":
            User.objects.filter(pk=user.pk).update(is_active=False)
        case "empty":
            text = " "
    response = Api(text).get("v1/datasets/")
    assert_problem(response, 401)
    assert "WWW-Authenticate" in response.headers


@pytest.mark.parametrize("noun", NOUNS)
def test_own_and_foreign(api: Api, mine: World, foreign: World, noun: str) -> None:
    assert [row["id"] for row in api.get(f"v1/{noun}/").json()["results"]] == [mine.id_of(noun)]
    assert api.get(f"v1/{noun}/{mine.id_of(noun)}/").json()["id"] == mine.id_of(noun)
    assert_problem(api.get(f"v1/{noun}/{foreign.id_of(noun)}/"), 404)


def test_foreign_things_cannot_be_written(api: Api, mine: World, foreign: World) -> None:
    assert_problem(api.patch(f"v1/samples/{foreign.sample.pk}/", {"version": 1, "label": "x"}), 404)
    assert_problem(api.post(f"v1/jobs/{foreign.job.pk}/cancel/"), 404)
    for name in (foreign.model.name, f"{foreign.model.name}:1", f"{foreign.model.name}@champion"):
        assert_problem(api.post("v1/embeddings", {"model": name, "input": "AAAA"}), 404)
        assert_problem(api.post("v1/search", {"model": name, **VECTOR}), 404)
    assert Sample.objects.get(pk=foreign.sample.pk).version == 1
    assert Job.objects.get(pk=foreign.job.pk).state == "queued"


def test_foreign_dataset_as_a_filter_is_empty(api: Api, mine: World, foreign: World) -> None:
    for noun in NOUNS[1:]:
        assert api.get(f"v1/{noun}/", dataset=foreign.dataset.pk).json()["results"] == []


@pytest.mark.parametrize(
    ("method", "path", "needed"),
    [
        *[("get", f"v1/{noun}/", "read") for noun in NOUNS],
        ("get", "schema/", "read"),
        ("patch", "v1/samples/1/", "annotate"),
        ("post", "v1/jobs/1/cancel/", "manage"),
        ("post", "v1/embeddings", "embed"),
        ("post", "v1/search", "search"),
    ],
)
def test_scope(api_with: Callable[..., Api], mine: World, method: str, path: str, needed: str) -> None:
    others = [scope for scope in SCOPES if scope != needed]
    assert_problem(call(api_with(*others), method, path), 403, needed)
    assert call(api_with(needed), method, path).status_code not in (401, 403)  # type: ignore[attr-defined]


def test_role(api: Api, mine: World, set_role: Callable[[World, Role], None]) -> None:
    set_role(mine, Role.VIEWER)
    assert_problem(api.patch(f"v1/samples/{mine.sample.pk}/", {"version": 1, "label": "x"}), 403, "annotator")
    set_role(mine, Role.ANNOTATOR)
    assert api.patch(f"v1/samples/{mine.sample.pk}/", {"version": 1, "label": "x"}).status_code == 200
    assert_problem(api.post(f"v1/jobs/{mine.job.pk}/cancel/"), 403, "manager")
    set_role(mine, Role.MANAGER)
    assert api.post(f"v1/jobs/{mine.job.pk}/cancel/").json()["state"] == "cancelled"


def test_own_job_without_a_dataset(api: Api, user: User) -> None:
    job = Job.objects.create(kind="train", title="Mine", owner=user)
    assert api.post(f"v1/jobs/{job.pk}/cancel/").json()["state"] == "cancelled"


def test_a_superuser_cancels_the_sites_own_work(api: Api, user: User) -> None:
    job = Job.objects.create(kind="sweep", title="Sweep")
    assert_problem(api.post(f"v1/jobs/{job.pk}/cancel/"), 404)
    User.objects.filter(pk=user.pk).update(is_superuser=True)
    assert api.post(f"v1/jobs/{job.pk}/cancel/").json()["state"] == "cancelled"


def test_session_needs_the_csrf_token_to_write(user: User, mine: World) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.get("/api/v1/datasets/").status_code == 200
    body = {"version": 1, "label": "x"}
    response = client.patch(f"/api/v1/samples/{mine.sample.pk}/", body, content_type="application/json")
    assert_problem(response, 403, "CSRF")
