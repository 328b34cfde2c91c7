"""The search page, with the inference process behind it and without."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import Membership, Role, User
from apps.datasets.models import Dataset, Sample
from apps.search.services import index_submit
from apps.zoo.models import ModelVersion
from tests.apps.search.conftest import Process
from tests.apps.zoo.making import draw, make_dataset

ClientFor = Callable[[User], Client]
FRAGMENT = {"HX-Request": "true"}


@pytest.fixture
def browser(client_for: ClientFor, user: User) -> Client:
    return client_for(user)


def upload(label: int = 0) -> SimpleUploadedFile:
    return SimpleUploadedFile("photo.png", draw(label, 0), "image/png")


def test_home_chooses_or_goes_on(browser: Client, user: User) -> None:
    assert "Nothing to search in yet" in browser.get(reverse("search:home")).content.decode()
    dataset = make_dataset("Shapes", user)
    assert browser.get(reverse("search:home")).headers["Location"] == reverse("search:page", args=[dataset.pk])
    make_dataset("Marks", user)
    answer = browser.get(reverse("search:home")).content.decode()
    assert "Shapes" in answer
    assert "Marks" in answer
    with CaptureQueriesContext(connection) as before:
        browser.get(reverse("search:home"))
    for number in range(3):
        make_dataset(f"More {number}", user)
    with CaptureQueriesContext(connection) as after:
        browser.get(reverse("search:home"))
    assert len(after) == len(before)


def test_without_a_champion_it_says_what_to_do(browser: Client, dataset: Dataset) -> None:
    answer = browser.get(reverse("search:page", args=[dataset.pk])).content.decode()
    assert "Train and publish first" in answer
    assert f"{reverse('training:new')}?dataset={dataset.pk}" in answer
    refused = browser.post(reverse("search:query", args=[dataset.pk]), {"image": upload()}, headers=FRAGMENT)
    assert refused.status_code == 422


def test_who_may_not_train_is_told_whom_to_ask(
    client_for: ClientFor, dataset: Dataset, version: ModelVersion, other_user: User, user: User
) -> None:
    Membership.objects.create(user=other_user, dataset=dataset, role=Role.VIEWER)
    viewer, address = client_for(other_user), reverse("search:page", args=[dataset.pk])
    assert "Build it on the version" not in viewer.get(address).content.decode()
    assert f"Ask one: {user.username}." in viewer.get(address).content.decode()
    version.model.aliases.all().delete()
    answer = viewer.get(address).content.decode()
    assert reverse("training:new") not in answer
    assert f"Ask one: {user.username}." in answer


def test_a_number_that_is_not_offered_is_named_with_those_that_are(
    browser: Client, indexed: ModelVersion, dataset: Dataset
) -> None:
    sample = Sample.objects.filter(dataset=dataset).earliest("pk")
    answer = browser.get(reverse("search:page", args=[dataset.pk]), {"sample": sample.pk, "k": "500"})
    assert answer.status_code == 422
    assert "is 500; it may be 12, 24, 48 or 96." in answer.content.decode()
    assert 'id="results"' in answer.content.decode()  # on the page itself


def test_without_an_index_it_shows_the_job(browser: Client, version: ModelVersion, user: User) -> None:
    address = reverse("search:page", args=[version.model.dataset_id])
    assert "No search index yet" in browser.get(address).content.decode()
    job = index_submit(version=version, user=user)
    answer = browser.get(address).content.decode()
    assert f"job-bar-{job.pk}" in answer
    assert "is being built" in answer


def test_before_a_search_there_are_samples_to_begin_with(
    browser: Client, indexed: ModelVersion, dataset: Dataset
) -> None:
    address = reverse("search:page", args=[dataset.pk])
    first = dataset.samples.order_by("label_id", "pk").first()
    assert first is not None
    assert f"{address}?sample={first.pk}" in browser.get(address).content.decode()


def test_the_page_says_what_it_searches_with(browser: Client, indexed: ModelVersion) -> None:
    answer = browser.get(reverse("search:page", args=[indexed.model.dataset_id])).content.decode()
    for words in ("shapes v1", indexed.space, '<span class="num">12</span>', "paste-image", "crop-box", "discs"):
        assert words in answer, words


def test_the_process_away_is_a_503_with_its_remedy(
    browser: Client, indexed: ModelVersion, dataset: Dataset, socket_path: Path
) -> None:
    address = reverse("search:query", args=[dataset.pk])
    sample = Sample.objects.filter(dataset=dataset).earliest("pk")
    for answer in (
        browser.post(address, {"image": upload()}),
        browser.post(address, {"image": upload()}, headers=FRAGMENT),
        browser.get(reverse("search:page", args=[dataset.pk]), {"sample": sample.pk}),
    ):
        assert answer.status_code == 503
        assert "manage.py inference" in answer.content.decode()


def test_who_may_search(client_for: ClientFor, indexed: ModelVersion, dataset: Dataset, other_user: User) -> None:
    client = client_for(other_user)
    page, query = (reverse(f"search:{name}", args=[dataset.pk]) for name in ("page", "query"))
    assert client.get(page).status_code == 404
    assert client.post(query, {"image": upload()}).status_code == 404
    assert client.post(reverse("search:index", args=[indexed.pk])).status_code == 404
    Membership.objects.create(user=other_user, dataset=dataset, role=Role.VIEWER)
    assert client.get(page).status_code == 200
    assert client.post(reverse("search:index", args=[indexed.pk])).status_code == 403
    assert Client().get(page).status_code == 302


def test_a_sample_of_another_dataset_is_not_found(
    browser: Client, indexed: ModelVersion, dataset: Dataset, user: User
) -> None:
    foreign = Sample.objects.filter(dataset=make_dataset("Other", user)).earliest("pk")
    assert browser.get(reverse("search:page", args=[dataset.pk]), {"sample": foreign.pk}).status_code == 404
    assert browser.post(reverse("search:query", args=[dataset.pk]), {"sample": foreign.pk}).status_code == 404
    for bad in ("x", "-1", "0", "9" * 30):
        assert browser.get(reverse("search:page", args=[dataset.pk]), {"sample": bad}).status_code == 422, bad


@pytest.mark.parametrize(
    "values", [{"k": "7"}, {"x1": "1"}, {"x1": "a"}, {"category": "c" * 201}], ids=["k", "half a box", "x", "long"]
)
def test_bad_values_are_refused(
    browser: Client, indexed: ModelVersion, dataset: Dataset, values: dict[str, str]
) -> None:
    answer = browser.post(reverse("search:query", args=[dataset.pk]), {"image": upload(), **values}, headers=FRAGMENT)
    assert answer.status_code == 422


def test_a_filter_without_a_photo_changes_nothing(browser: Client, indexed: ModelVersion, dataset: Dataset) -> None:
    address = reverse("search:query", args=[dataset.pk])
    assert browser.post(address, {"k": "24"}, headers=FRAGMENT).status_code == 204
    assert browser.post(address, {"k": "24"}).status_code == 422


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_results(inference: Process, browser: Client, indexed: ModelVersion, dataset: Dataset) -> None:
    query = reverse("search:query", args=[dataset.pk])
    fragment = browser.post(query, {"image": upload()}, headers=FRAGMENT).content.decode()
    assert "<html" not in fragment
    assert fragment.count('class="tile') >= 12
    assert "label 0" in fragment
    whole = browser.post(query, {"image": upload(), "k": "24"}).content.decode()
    assert "<html" in whole
    assert whole.count('class="tile__caption"') == 12
    discs = browser.post(query, {"image": upload(), "category": "discs"}, headers=FRAGMENT).content.decode()
    assert discs.count('class="tile__caption"') == 6
    grouped = browser.post(query, {"image": upload(), "group": "1"}, headers=FRAGMENT).content.decode()
    assert grouped.count("<h2") == 4
    cropped = {"image": upload(), "x1": "5", "y1": "5", "x2": "40", "y2": "40"}
    assert browser.post(query, cropped, headers=FRAGMENT).status_code == 200
    text = SimpleUploadedFile("photo.jpg", b"no photo", "image/jpeg")
    assert browser.post(query, {"image": text}, headers=FRAGMENT).status_code == 422


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_search_by_a_sample_leaves_it_out_and_judges(
    inference: Process, browser: Client, indexed: ModelVersion, dataset: Dataset
) -> None:
    sample = Sample.objects.filter(dataset=dataset).earliest("pk")
    page = reverse("search:page", args=[dataset.pk])
    answer = browser.get(page, {"sample": sample.pk, "k": "12"}).content.decode()
    assert answer.count('class="tile__caption"') == 11
    assert f'href="{page}?sample={sample.pk}"' not in answer
    assert answer.count("neighbour--hit") == 2
    assert answer.count("neighbour--miss") == 9


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_samples_deleted_since_are_left_out_and_said(
    inference: Process, browser: Client, indexed: ModelVersion, dataset: Dataset
) -> None:
    first, second = Sample.objects.filter(dataset=dataset).order_by("pk")[:2]
    Sample.objects.filter(pk=second.pk).delete()
    answer = browser.get(reverse("search:page", args=[dataset.pk]), {"sample": first.pk}).content.decode()
    assert "1 of the nearest was deleted since" in answer
    assert answer.count('class="tile__caption"') == 10
    grouped = browser.get(reverse("search:page", args=[dataset.pk]), {"sample": first.pk, "group": "1"})
    assert "label 3" in grouped.content.decode()
