"""The page of labels: editing and deleting them, and what is said when that cannot be."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.datasets.models import Dataset, Label, Sample


@pytest.fixture
def client(user: User, client_for: Callable[[User], Client]) -> Client:
    return client_for(user)


def test_a_label_is_edited_once_per_version(filled: Dataset, client: Client) -> None:
    label = Label.objects.get(name="mug 0")
    url = reverse("datasets:label_edit", args=[label.pk])
    assert (
        client.post(url, {"version": "1", "name": "pot", "category": "pots", "next": "//evil.com"}).status_code == 302
    )
    stale = client.post(url, {"version": "1", "name": "pan", "category": ""})
    assert stale.status_code == 409
    assert b"now called pot" in stale.content
    assert f'id="label-{label.pk}" aria-labelledby="label-{label.pk}-title" open' in stale.content.decode()
    assert 'value="pan"' in stale.content.decode()


def test_a_name_that_is_taken_is_told_beside_it(filled: Dataset, client: Client) -> None:
    label = Label.objects.get(name="mug 0")
    data = {"version": "1", "name": "mug 1", "category": "kept", "next": f"/datasets/{filled.pk}/labels?q=mug"}
    response = client.post(reverse("datasets:label_edit", args=[label.pk]), data)
    page = response.content.decode()
    assert response.status_code == 409
    assert "That name is taken" in page
    assert "changed meanwhile" not in page
    assert 'value="kept"' in page
    assert [row.label.name for row in response.context["labels"]] == ["mug 0", "mug 1"]  # the list as it was seen
    elsewhere = client.post(
        reverse("datasets:label_edit", args=[label.pk]), {**data, "next": "/datasets/1/labels?q=cup"}
    )
    assert "That name is taken" in elsewhere.content.decode()
    new = client.post(reverse("datasets:label_create", args=[filled.pk]), {"name": " ", "category": "mugs"})
    assert (new.status_code, "needs a name" in new.content.decode()) == (422, True)


def test_a_label_without_samples_is_deleted(filled: Dataset, client: Client) -> None:
    label = Label.objects.get(name="mug 0")
    url = reverse("datasets:label_delete", args=[label.pk])
    page = reverse("datasets:labels", args=[filled.pk])
    assert url not in client.get(page).content.decode()
    refused = client.post(url, {"version": "1"})
    assert (refused.status_code, "mug 0 has 2 samples" in refused.content.decode()) == (409, True)
    Sample.objects.filter(label=label).delete()
    assert url in client.get(page).content.decode()
    assert client.post(url, {"version": "2"}).status_code == 409
    assert client.post(url, {}).status_code == 422
    assert client.post(url, {"version": "1", "next": f"{page}?q=mug"}).headers["Location"] == f"{page}?q=mug"
    assert not Label.objects.filter(name="mug 0").exists()
