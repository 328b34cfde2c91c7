"""The zoo and the search in the admin."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import User
from apps.core.templatetags.kindred import bytes_
from apps.search.models import EmbeddingSet, Index
from apps.zoo import services
from apps.zoo.models import Model, ModelVersion
from tests.apps.zoo.making import make_model, make_run, make_version

State = ModelVersion.State
VERSIONS = "admin:zoo_modelversion_changelist"


@pytest.fixture
def admin(client_for: Callable[[User], Client], superuser: User) -> Client:
    return client_for(superuser)


def make_index(version: ModelVersion, *, is_active: bool = True) -> Index:
    embeddings, _ = EmbeddingSet.objects.get_or_create(
        version=version,
        snapshot=version.snapshot,
        defaults={"space": version.space, "dimension": 16, "count": 12, "folder_key": "embeddings/1", "sha256": "0"},
    )
    return Index.objects.create(
        dataset=version.model.dataset,
        embedding_set=embeddings,
        version=version,
        folder_key="indexes/1",
        sha256="0",
        is_active=is_active,
    )


def test_lists_filter_and_search(admin: Client, version: ModelVersion, user: User) -> None:
    services.version_publish(version=version, user=user)
    services.alias_set(model=version.model, name="champion", version=version, user=user)
    make_index(version)
    for query in (
        {},
        {"state__exact": "published"},
        {"aliases__name": "champion"},
        {"model__dataset__id__exact": version.model.dataset_id},
        {"q": version.space},
    ):
        answer = admin.get(reverse(VERSIONS), query)
        assert "shapes v1" in answer.content.decode(), query
    assert "shapes v1" not in admin.get(reverse(VERSIONS), {"state__exact": "retired"}).content.decode()
    for name in ("zoo_model", "search_embeddingset", "search_index"):
        answer = admin.get(reverse(f"admin:{name}_changelist"), {"q": "shapes"})
        assert answer.status_code == 200
        assert "shapes" in answer.content.decode(), name


def test_lineage_and_files_are_read_only(admin: Client, version: ModelVersion) -> None:
    address = reverse("admin:zoo_modelversion_change", args=[version.pk])
    answer = admin.get(address).content.decode()
    for words in (version.weights_sha256, version.folder_key, reverse("zoo:version", args=[version.pk])):
        assert words in answer
    assert 'name="state"' not in answer
    admin.post(address, {"notes": "Good.", "state": "published", "weights_sha256": "f" * 64, "space": "0"})
    sha256 = version.weights_sha256
    version.refresh_from_db()
    assert (version.notes, version.state, version.weights_sha256) == ("Good.", State.DRAFT, sha256)


def test_the_models_page_has_versions_aliases_and_history(admin: Client, version: ModelVersion, user: User) -> None:
    services.version_publish(version=version, user=user)
    services.alias_set(model=version.model, name="champion", version=version, user=user)
    answer = admin.get(reverse("admin:zoo_model_change", args=[version.model_id])).content.decode()
    for words in ("history of the aliases", "champion", version.space):
        assert words.lower() in answer.lower()
    assert 'name="aliases-0-name"' not in answer


def test_a_version_is_shown_in_the_sites_look_with_its_lineage(admin: Client, version: ModelVersion) -> None:
    run = make_run(version)
    answer = admin.get(reverse("admin:zoo_modelversion_change", args=[version.pk])).content.decode()
    assert "css/admin.css" in answer
    assert reverse("training:detail", args=[run.pk]) in answer
    assert "<dt>CMC@1</dt><dd>75.0 %</dd>" in answer
    assert bytes_(version.size_bytes) in answer  # as on the site


@pytest.mark.parametrize("name", ["zoo_model", "zoo_modelversion", "search_embeddingset", "search_index"])
def test_nothing_is_added_by_hand(admin: Client, name: str) -> None:
    assert admin.get(reverse(f"admin:{name}_add")).status_code == 403


def test_the_actions_call_the_services(admin: Client, version: ModelVersion, user: User) -> None:
    second = make_version(version.model, user, seed=1)
    both = {"_selected_action": [version.pk, second.pk]}
    services.version_publish(version=version, user=user)
    answer = admin.post(reverse(VERSIONS), {"action": "publish", **both}, follow=True).content.decode()
    assert "Shapes v1 is published already." in answer
    assert "Shapes v2: published." in answer
    services.alias_set(model=version.model, name="champion", version=version, user=user)
    answer = admin.post(reverse(VERSIONS), {"action": "retire", **both}, follow=True).content.decode()
    assert "Shapes v1 is in use as champion." in answer
    assert list(ModelVersion.objects.order_by("pk").values_list("state", flat=True)) == [State.PUBLISHED, State.RETIRED]


def count(client: Client, address: str) -> int:
    client.get(address)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


def test_queries_do_not_grow_with_rows(admin: Client, version: ModelVersion, user: User) -> None:
    make_index(version)
    pages = [
        reverse(f"admin:{name}_changelist")
        for name in ("zoo_model", "zoo_modelversion", "search_embeddingset", "search_index")
    ]
    pages.append(reverse("admin:zoo_model_change", args=[version.model_id]))
    before = [count(admin, page) for page in pages]
    for seed in range(1, 4):
        for model in (version.model, make_model(version.model.dataset, f"model {seed}")):
            made = make_version(model, user, seed=seed)
            services.version_publish(version=made, user=user)
            services.alias_set(model=model, name="champion", version=made, user=user)
            make_index(made)
    after = [count(admin, page) for page in pages]
    assert Model.objects.count() == 4
    assert after == before


def test_people_who_are_no_staff_are_sent_away(client_for: Callable[[User], Client], user: User) -> None:
    assert client_for(user).get(reverse(VERSIONS)).status_code == 302
