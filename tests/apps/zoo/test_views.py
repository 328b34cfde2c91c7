"""The pages of the zoo: what they show, to whom, in how many queries."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import Membership, Role, User
from apps.jobs.models import Job
from apps.zoo import services
from apps.zoo.models import Model, ModelVersion
from tests.apps.zoo.making import make_model, make_run, make_version

State = ModelVersion.State
ClientFor = Callable[[User], Client]


@pytest.fixture
def client(client_for: ClientFor, user: User) -> Client:
    return client_for(user)


def champion(version: ModelVersion, user: User) -> ModelVersion:
    services.version_publish(version=version, user=user)
    services.alias_set(model=version.model, name="champion", version=version, user=user)
    return version


def test_an_empty_zoo_teaches_the_next_step(client: Client) -> None:
    answer = client.get(reverse("zoo:list")).content.decode()
    assert "No models yet" in answer
    assert reverse("training:list") in answer


def test_the_list_shows_the_champion(client: Client, version: ModelVersion, user: User) -> None:
    champion(version, user)
    make_version(version.model, user, seed=1)
    answer = client.get(reverse("zoo:list")).content.decode()
    assert "champion v1" in answer
    assert "75.0 %" in answer
    assert "2 versions" in answer
    assert client.get(reverse("zoo:list"), {"dataset": version.model.dataset_id}).status_code == 200
    assert client.get(reverse("zoo:list"), {"dataset": "999999"}).status_code == 404


def test_the_models_page_shows_versions_aliases_and_their_history(
    client: Client, version: ModelVersion, user: User
) -> None:
    champion(version, user)
    answer = client.get(reverse("zoo:model", args=[version.model_id])).content.decode()
    for words in ("published", "champion", "History, 1 move", reverse("zoo:remove_alias", args=[version.model_id])):
        assert words in answer


def test_the_card_of_a_version(client: Client, version: ModelVersion, user: User) -> None:
    champion(version, user)
    answer = client.get(reverse("zoo:version", args=[version.pk])).content.decode()
    for words in (
        version.space,
        version.weights_sha256,
        version.snapshot.sha256,
        "not made by a run",
        "The share of queries",  # the definition of CMC
        "/api/v1/embeddings",
        "/api/v1/search",
        "preprocess.size",
        "No index yet",
        "Build the index",
    ):
        assert words in answer, words


def test_a_version_of_a_run_names_it(client: Client, version: ModelVersion, user: User) -> None:
    run = make_run(version)
    answer = client.get(reverse("zoo:version", args=[version.pk])).content.decode()
    assert reverse("training:detail", args=[run.pk]) in answer
    assert "untrained 10.0 %" in answer


def test_every_page_counts_the_queries_that_were_measured(client: Client, version: ModelVersion) -> None:
    pages = [
        reverse("zoo:list"),
        reverse("zoo:model", args=[version.model_id]),
        reverse("zoo:version", args=[version.pk]),
    ]
    for page in pages:
        assert " of 12" not in client.get(page).content.decode(), page
    run = make_run(version)
    job = Job.objects.create(kind="evaluate", title="t", dataset=run.dataset)
    run.evaluations.create(snapshot=run.snapshot, job=job, counts={"queries": 12, "queries_without_match": 3})
    for page in pages:
        assert "9 of 12" in client.get(page).content.decode(), page


def test_why_a_version_is_not_retired_stands_beside_the_button(
    client: Client, version: ModelVersion, user: User
) -> None:
    champion(version, user)
    assert (
        "not while it is in use as champion" in client.get(reverse("zoo:version", args=[version.pk])).content.decode()
    )


def test_the_buttons(client: Client, version: ModelVersion) -> None:
    page = reverse("zoo:version", args=[version.pk])
    client.post(reverse("zoo:publish", args=[version.pk]))
    client.post(reverse("zoo:set_alias", args=[version.pk]), {"name": "champion"})
    refused = client.post(reverse("zoo:retire", args=[version.pk]))
    assert refused.status_code == 409
    assert "in use as champion" in refused.content.decode()
    client.post(reverse("zoo:remove_alias", args=[version.model_id]), {"name": "champion"})
    answer = client.post(reverse("zoo:retire", args=[version.pk]), follow=True)
    assert answer.redirect_chain[-1][0] == page
    assert "can be published again" in answer.content.decode()
    assert client.post(reverse("zoo:set_alias", args=[version.pk]), {"name": "no good"}).status_code == 422
    client.post(reverse("zoo:notes", args=[version.pk]), {"notes": "For <b>mugs</b>."})
    assert "For &lt;b&gt;mugs&lt;/b&gt;." in client.get(page).content.decode()
    assert client.get(reverse("zoo:publish", args=[version.pk])).status_code == 405


def test_the_index_button_queues_one_job(client: Client, version: ModelVersion) -> None:
    client.post(reverse("zoo:publish", args=[version.pk]))
    for _ in range(2):
        assert client.post(reverse("search:index", args=[version.pk])).status_code == 302
    job = Job.objects.get(kind="index")
    assert job.payload == {"version": version.pk, "snapshot": version.snapshot_id}
    assert f"job-bar-{job.pk}" in client.get(reverse("zoo:version", args=[version.pk])).content.decode()


POSTS = ["zoo:publish", "zoo:retire", "zoo:set_alias", "zoo:notes", "search:index"]


def test_strangers_find_nothing(client_for: ClientFor, version: ModelVersion, other_user: User) -> None:
    stranger = client_for(other_user)
    assert "shapes" not in stranger.get(reverse("zoo:list")).content.decode()
    assert stranger.get(reverse("zoo:model", args=[version.model_id])).status_code == 404
    assert stranger.get(reverse("zoo:version", args=[version.pk])).status_code == 404
    assert stranger.post(reverse("zoo:remove_alias", args=[version.model_id]), {"name": "champion"}).status_code == 404
    for name in POSTS:
        assert stranger.post(reverse(name, args=[version.pk]), {"name": "champion"}).status_code == 404, name
    version.refresh_from_db()
    assert version.state == State.DRAFT


def test_viewers_look_and_change_nothing(client_for: ClientFor, version: ModelVersion, other_user: User) -> None:
    Membership.objects.create(user=other_user, dataset=version.model.dataset, role=Role.VIEWER)
    viewer = client_for(other_user)
    answer = viewer.get(reverse("zoo:version", args=[version.pk]))
    assert answer.status_code == 200
    assert reverse("zoo:publish", args=[version.pk]) not in answer.content.decode()
    for name in POSTS:
        assert viewer.post(reverse(name, args=[version.pk]), {"name": "champion"}).status_code == 403, name


def queries(client: Client, address: str) -> int:
    client.get(address)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def test_queries_do_not_grow_with_rows(client: Client, version: ModelVersion, user: User) -> None:
    champion(version, user)
    pages = [reverse("zoo:list"), reverse("zoo:model", args=[version.model_id])]
    before = [queries(client, page) for page in pages]
    for seed in range(1, 4):
        champion(make_version(version.model, user, seed=seed), user)
        champion(make_version(make_model(version.model.dataset, f"model {seed}"), user, seed=seed), user)
    assert [queries(client, page) for page in pages] == before


def test_names_are_escaped_in_commands(client: Client, model: Model, user: User) -> None:
    Model.objects.filter(pk=model.pk).update(name="it's <b>")
    model.refresh_from_db()
    version: Any = make_version(model, user)
    answer = client.get(reverse("zoo:version", args=[version.pk])).content.decode()
    assert "model=it&#x27;\\&#x27;&#x27;s &lt;b&gt;:1" in answer
