"""Lists, filters, pages, edits, errors, and the schema."""

import io
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Membership, Role, User
from apps.datasets.models import Label, Sample
from apps.jobs.models import Job
from apps.training.models import Run
from apps.zoo.models import Alias, Model, ModelVersion
from tests.apps.api.conftest import Api, World, assert_problem, samples_make, world_make


def test_sample_shape(api: Api, mine: World) -> None:
    row = api.get(f"v1/samples/{mine.sample.pk}/").json()
    assert row["label"] == "P-1"
    assert row["category"] == "plates"
    assert row["box"] is None
    assert row["version"] == 1
    assert row["thumbnail"] == f"/api/v1/samples/{row['id']}/thumbnail/"
    Sample.objects.filter(pk=mine.sample.pk).update(label=None, category=None, x_1=1, y_1=2, x_2=3, y_2=4)
    row = api.get(f"v1/samples/{mine.sample.pk}/").json()
    assert (row["label"], row["category"], row["box"]) == (None, None, [1, 2, 3, 4])


def test_edit_sample(api: Api, mine: World) -> None:
    address = f"v1/samples/{mine.sample.pk}/"
    row = api.patch(address, {"version": 1, "label": "P-2", "is_gallery": True}).json()
    assert (row["label"], row["is_gallery"], row["version"]) == ("P-2", True, 2)
    assert api.get(address).json() == row
    problem = assert_problem(api.patch(address, {"version": 1, "label": "P-3"}), 409)
    assert problem["current"]["label"] == "P-2"
    assert problem["current"]["version"] == 2
    assert not Label.objects.filter(name="P-3").exists()
    row = api.patch(address, {"version": 2, "label": ""}).json()
    assert (row["label"], row["version"]) == (None, 3)


@pytest.mark.parametrize(
    "body",
    [
        {"label": "x"},
        {"version": 1},
        {"version": "one", "label": "x"},
        {"version": 1, "split": "test"},
        {"version": 1, "is_query": "perhaps"},
        {"version": 1, "split": "train", "is_query": True},
        {"version": 1, "label": "a\0b"},
        {"version": 1, "label": "\ud800"},
        {"version": 1, "label": "x" * 201},
        [],
        7,
    ],
)
def test_bad_edits(api: Api, mine: World, body: Any) -> None:
    assert_problem(api.patch(f"v1/samples/{mine.sample.pk}/", body), 422)
    assert Sample.objects.get(pk=mine.sample.pk).version == 1


def test_filters(api: Api, mine: World) -> None:
    other = Label.objects.create(dataset=mine.dataset, name="P-2")
    samples_make(mine.dataset, other, 2)
    Sample.objects.filter(label=other).update(split="", is_query=False)

    def count(**query: Any) -> int:
        return len(api.get("v1/samples/", **query).json()["results"])

    assert count() == 3
    assert count(dataset=mine.dataset.pk) == 3
    assert count(label="P-2") == 2
    assert count(category="plates") == 1
    assert count(split="validation") == 1
    assert count(split="") == 2
    assert count(is_query="false") == 2
    assert count(dataset=2**62) == 0
    assert len(api.get("v1/jobs/", state="queued", kind="train").json()["results"]) == 1
    assert api.get("v1/models/", name=mine.model.name).json()["results"][0]["versions"][0]["aliases"] == ["champion"]


@pytest.mark.parametrize(
    ("noun", "query"),
    [
        ("samples", {"dataset": "one"}),
        ("samples", {"dataset": "9" * 30}),
        ("samples", {"dataset": "-1"}),
        ("samples", {"dataset": ""}),
        ("samples", {"is_query": "maybe"}),
        ("samples", {"split": "test"}),
        ("samples", {"label": "a\0b"}),
        ("samples", {"labels": "misspelt"}),
        ("samples", {"limit": "0"}),
        ("samples", {"limit": "1001"}),
        ("samples", {"limit": "ten"}),
        ("samples", {"cursor": "x"}),
        ("samples", {"cursor": "cD1hYmM="}),  # p=abc
        ("jobs", {"state": "stuck"}),
        ("jobs", {"kind": "cook"}),
        ("runs", {"dataset": "x"}),
    ],
)
def test_bad_filters(api: Api, mine: World, noun: str, query: dict[str, str]) -> None:
    assert_problem(api.get(f"v1/{noun}/", **query), 422)


def test_pages(api: Api, mine: World) -> None:
    ids = [mine.sample.pk, *[sample.pk for sample in samples_make(mine.dataset, mine.label, 4)]]
    page = api.get("v1/samples/", limit=2).json()
    seen = [row["id"] for row in page["results"]]
    assert page["previous"] is None
    while page["next"]:
        page = api.client.get(page["next"]).json()
        seen += [row["id"] for row in page["results"]]
    assert seen == ids
    assert [row["id"] for row in api.client.get(page["previous"]).json()["results"]] == ids[2:4]


def fill(noun: str, mine: World, user: User, first: int, end: int) -> None:
    for n in range(first, end):
        match noun:
            case "datasets":
                Membership.objects.create(user=user, dataset=world_make(f"more {n}").dataset, role=Role.VIEWER)
            case "labels":
                Label.objects.create(dataset=mine.dataset, name=f"more {n}", category=mine.label.category)
            case "samples":
                samples_make(mine.dataset, Label.objects.create(dataset=mine.dataset, name=f"more {n}"), 1)
            case "models":
                model = Model.objects.create(name=f"more {n}", dataset=mine.dataset)
                mine.version.pk = None
                mine.version.model = model
                mine.version.save()
                Alias.objects.create(model=model, name="champion", version=mine.version)
            case "runs":
                job = Job.objects.create(kind="train", title="more", dataset=mine.dataset)
                snapshot = ModelVersion.objects.all()[0].snapshot
                Run.objects.create(
                    name="more", dataset=mine.dataset, snapshot=snapshot, preset="quick", recipe={}, job=job
                )
            case "jobs":
                Job.objects.create(kind="train", title="more", dataset=mine.dataset)


@pytest.mark.parametrize("noun", ["datasets", "labels", "samples", "models", "runs", "jobs"])
def test_lists_ask_the_same_number_of_queries(api: Api, mine: World, user: User, noun: str) -> None:
    def queries(rows: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert len(api.get(f"v1/{noun}/").json()["results"]) == rows
        return len(captured)

    fill(noun, mine, user, 0, 1)
    api.get(f"v1/{noun}/")  # from here on the token was seen a moment ago
    few = queries(2)
    fill(noun, mine, user, 1, 11)
    assert queries(12) == few <= 5


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "", 404),
        ("get", "v1/", 404),
        ("get", "v2/datasets/", 404),
        ("get", "v1/nothing/", 404),
        ("get", "v1/datasets/x/", 404),
        ("get", "v1/datasets/" + "9" * 40 + "/", 404),
        ("get", "v1/datasets/" + "9" * 18 + "/", 404),
        ("delete", "v1/datasets/1/", 405),
        ("post", "v1/datasets/", 405),
        ("put", "v1/samples/1/", 405),
        ("get", "v1/embeddings", 405),
        ("get", "v1/search", 405),
    ],
)
def test_wrong_addresses_and_methods(api: Api, mine: World, method: str, path: str, status: int) -> None:
    response = api.get(path) if method == "get" else api.send(method, path, {})
    assert_problem(response, status)


def test_unknown_address_without_login(nobody: Api, db: None) -> None:
    assert_problem(nobody.get("v1/nothing"), 404)


def test_one_slash_too_few_or_too_many(api: Api, mine: World) -> None:
    response = api.get("v1/datasets", limit=1)
    assert (response.status_code, response.headers["Location"]) == (308, "/api/v1/datasets/?limit=1")
    assert api.post("v1/search/", {}).headers["Location"] == "/api/v1/search"


def test_bodies_that_cannot_be_read(api: Api, mine: World) -> None:
    address = f"/api/v1/samples/{mine.sample.pk}/"

    def patch(body: bytes, content_type: str = "application/json", **more: Any) -> Any:
        return api.client.generic("PATCH", address, body, content_type=content_type, **more)

    assert_problem(patch(b"{"), 400, "JSON")
    assert_problem(patch(b"\xff\xfe"), 400)
    assert_problem(patch(b'{"version": NaN}'), 400)
    assert_problem(patch(b"[" * 200_000), 400, "deep")
    assert_problem(patch(b"version=1", "application/x-www-form-urlencoded"), 415)
    assert_problem(patch(b"<a/>", "text/xml"), 415)
    assert_problem(patch(b"{}", CONTENT_LENGTH=str(2**30)), 413)
    assert_problem(api.client.get("/api/v1/datasets/", headers={"Accept": "text/html"}), 406)


def test_unforeseen_errors_are_problems_too(api: Api, mine: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError("secret of the house")

    monkeypatch.setattr("apps.api.serializers.DatasetSerializer.to_representation", broken)
    response = api.get("v1/datasets/")
    assert_problem(response, 500, "X-Request-Id")
    assert "secret" not in response.content.decode()
    assert response.headers["X-Request-Id"]


def test_schema_is_valid(db: None) -> None:
    out = io.StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)
    for address in (
        "/api/v1/embeddings:",
        "/api/v1/search:",
        "/api/v1/samples/{id}/:",
        "bearer",
        "multipart/form-data",
    ):
        assert address in out.getvalue()


def test_schema_and_page_are_served(api: Api, mine: World, client_for: Any, user: User) -> None:
    response = api.client.get("/api/schema/?format=json")
    assert response.status_code == 200
    assert response.json()["openapi"].startswith("3.")
    page = client_for(user).get("/api/docs/")
    assert page.status_code == 200
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
