"""The pages: who sees what, how many queries it takes, and what a form does."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import Role, User
from apps.datasets.models import Dataset, Import, Label, Sample, Snapshot
from apps.datasets.selectors import samples as sample_selectors
from apps.datasets.services import dataset_create, snapshot_create
from apps.datasets.urls import urlpatterns
from mlcore.images import decode
from tests.apps.datasets.conftest import HEADER, make_zip, photo, table_zip

ClientFor = Callable[[User], Client]
MemberClient = Callable[[Role], Client]


@pytest.fixture
def client(user: User, client_for: ClientFor) -> Client:
    return client_for(user)


@pytest.fixture
def keys(filled: Dataset, user: User) -> dict[str, int]:
    """The id that each address of the app takes, all of one dataset."""
    sample, label = Sample.objects.filter(dataset=filled)[0], Label.objects.filter(dataset=filled)[0]
    snapshot = snapshot_create(dataset=filled, user=user)
    by_kind = [
        (filled, "detail samples labels imports import_create snapshots samples_update label_create snapshot_create"),
        (sample, "sample photo thumb"),
        (label, "label_edit"),
        (Import.objects.get(), "import"),
        (snapshot, "snapshot snapshot_manifest snapshot_table"),
    ]
    return {name: row.pk for row, names in by_kind for name in names.split()}


def address(name: str, pk: int) -> str:
    return reverse(f"datasets:{name}", args=[pk, 160] if name == "thumb" else [pk])


NAMES = (
    *("detail", "samples", "labels", "imports", "import_create", "snapshots", "samples_update"),
    *("label_create", "snapshot_create", "sample", "photo", "thumb", "label_edit", "import", "snapshot"),
    *("snapshot_manifest", "snapshot_table"),
)
POST_ONLY = {"samples_update", "label_create", "snapshot_create", "label_edit"}


def test_every_address_is_walked() -> None:
    assert {pattern.name for pattern in urlpatterns} == {*NAMES, "list", "create"}


@pytest.mark.parametrize("name", NAMES)
def test_a_strangers_dataset_is_not_found(
    name: str, keys: dict[str, int], other_user: User, client_for: ClientFor
) -> None:
    before = list(Sample.objects.values_list("pk", "version", "label"))
    stranger = client_for(other_user)
    url = address(name, keys[name])
    if name not in POST_ONLY:
        assert stranger.get(url).status_code == 404
    data = {"name": "x", "version": 1, "action": "label", "label": "x", "sample": [keys["sample"]]}
    assert stranger.post(url, data).status_code in (404, 405)
    assert list(Sample.objects.values_list("pk", "version", "label")) == before
    assert not Label.objects.filter(name="x").exists()


@pytest.mark.parametrize("name", NAMES)
def test_nobody_gets_in_without_a_login(name: str, keys: dict[str, int]) -> None:
    response = Client().get(address(name, keys[name]))
    assert response.status_code == 302
    assert response.headers["Location"].startswith(reverse("accounts:login"))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in POST_ONLY])
def test_every_page_shows(name: str, keys: dict[str, int], client: Client) -> None:
    response = client.get(address(name, keys[name]))
    assert response.status_code == 200, name
    b"".join(response)  # streamed ones too


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("samples_update", Role.VIEWER),
        ("label_edit", Role.VIEWER),
        ("label_create", Role.VIEWER),
        ("sample", Role.VIEWER),
        ("import_create", Role.ANNOTATOR),
        ("snapshot_create", Role.ANNOTATOR),
    ],
)
def test_a_role_that_is_too_low_is_told_so(
    name: str, role: Role, keys: dict[str, int], member_client: MemberClient
) -> None:
    data = {"name": "x", "version": 1, "action": "label", "label": "x", "sample": [keys["sample"]]}
    response = member_client(role).post(address(name, keys[name]), data)
    assert response.status_code == 403
    assert (Sample.objects.count(), Import.objects.count(), Snapshot.objects.count()) == (8, 1, 1)
    assert not Label.objects.filter(name="x").exists()


def test_a_viewer_sees_no_tools(filled: Dataset, member_client: MemberClient) -> None:
    page = member_client(Role.VIEWER).get(reverse("datasets:samples", args=[filled.pk])).content.decode()
    assert "tile__photo" in page
    assert "selection-bar" not in page
    assert "tile__check" not in page


# --- queries ---------------------------------------------------------------------------------------------------------


def queries(client: Client, url: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


@pytest.mark.parametrize("name", ["list", "detail", "samples", "labels", "imports", "import", "snapshots"])
def test_queries_do_not_grow_with_rows(name: str, filled: Dataset, user: User, client: Client, bring_in: Any) -> None:
    made = Import.objects.get()
    url = reverse("datasets:list") if name == "list" else address(name, made.pk if name == "import" else filled.pk)
    snapshot_create(dataset=filled, user=user)
    queries(client, url)
    before = queries(client, url)
    many = make_zip({f"c{i % 5}/l{i % 30}/{i}.jpg": photo(100 + i) for i in range(100)})
    bring_in(many)
    for number in range(3):
        bring_in(many, into=dataset_create(name=f"Other {number}", user=user))
    snapshot_create(dataset=filled, user=user)
    assert queries(client, url) == before


# --- datasets --------------------------------------------------------------------------------------------------------


def test_a_new_dataset_leads_to_its_import(client: Client, dataset: Dataset) -> None:
    response = client.post(reverse("datasets:create"), {"name": "Cups", "description": ""})
    made = Dataset.objects.get(name="Cups")
    assert response.headers["Location"] == reverse("datasets:import_create", args=[made.pk])
    taken = client.post(reverse("datasets:create"), {"name": "Cups"})
    assert taken.status_code == 422
    assert b"already" in taken.content
    assert client.get(reverse("datasets:detail", args=[made.pk])).status_code == 200  # with nothing in it


# --- imports ---------------------------------------------------------------------------------------------------------


def test_an_upload_becomes_a_job_with_a_bar(dataset: Dataset, client: Client) -> None:
    data = make_zip({"mug/1.jpg": photo()})
    url = reverse("datasets:import_create", args=[dataset.pk])
    response = client.post(url, {"file": SimpleUploadedFile("mugs.zip", data)})
    made = Import.objects.get()
    assert response.headers["Location"] == reverse("datasets:import", args=[made.pk])
    page = client.get(response.headers["Location"]).content.decode()
    assert f'id="job-bar-{made.job_id}"' in page
    assert "every 2s" in page  # it asks for itself


def test_an_upload_needs_a_csrf_token(dataset: Dataset, user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    data = {"file": SimpleUploadedFile("mugs.zip", make_zip({"mug/1.jpg": photo()}))}
    assert client.post(reverse("datasets:import_create", args=[dataset.pk]), data).status_code == 403
    assert not Import.objects.exists()


@pytest.mark.parametrize("data", [{}, {"file": SimpleUploadedFile("a.zip", b"")}])
def test_no_file_is_told(data: dict[str, Any], dataset: Dataset, client: Client) -> None:
    response = client.post(reverse("datasets:import_create", args=[dataset.pk]), data)
    assert response.status_code == 422
    assert b"field__error" in response.content


def test_an_upload_that_is_too_large_is_not_read(dataset: Dataset, client: Client, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = -(2**20)
    data = {"file": SimpleUploadedFile("a.zip", make_zip({"mug/1.jpg": photo()}))}
    response = client.post(reverse("datasets:import_create", args=[dataset.pk]), data)
    assert response.status_code == 422
    assert not Import.objects.exists()


def test_the_fates_of_files_are_shown_by_outcome(bring_in: Any, client: Client) -> None:
    made, _ = bring_in(make_zip({"mug/1.jpg": photo(1), "mug/2.jpg": photo(1), "mug/bad.jpg": b"x"}))
    url = reverse("datasets:import", args=[made.pk])
    assert "every 2s" not in client.get(url).content.decode()
    refused = client.get(url, {"outcome": "refused"}).content.decode()
    assert "mug/bad.jpg" in refused
    assert "mug/2.jpg" not in refused
    assert client.get(url, {"outcome": "nonsense", "after": "x"}).status_code == 200


def test_problems_are_shown_with_their_rows(bring_in: Any, client: Client) -> None:
    made, _ = bring_in(table_zip(["mug,img/gone.jpg,train,,"] * 1))
    page = client.get(reverse("datasets:import", args=[made.pk])).content.decode()
    assert "img/gone.jpg is not in the upload" in page


# --- samples ---------------------------------------------------------------------------------------------------------


def shown(response: Any) -> list[int]:
    return [sample.pk for sample in response.context["samples"]]


def test_pages_by_key_there_and_back(filled: Dataset, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_selectors, "PAGE_SIZE", 3)
    url = reverse("datasets:samples", args=[filled.pk])
    everything = list(Sample.objects.order_by("pk").values_list("pk", flat=True))
    first = client.get(url)
    second = client.get(url + first.context["next_url"])
    third = client.get(url + second.context["next_url"])
    assert shown(first) + shown(second) + shown(third) == everything
    assert (first.context["previous_url"], third.context["next_url"]) == ("", "")
    back = client.get(url + third.context["previous_url"])
    assert shown(back) == everything[3:6]
    assert shown(client.get(url + back.context["previous_url"])) == everything[:3]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("split=train", 4),
        ("split=none", 0),
        ("query=1", 4),
        ("gallery=1&split=validation", 4),
        ("unlabelled=1", 0),
        ("q=mug", 4),
        ("q=IMG%2F7", 1),
        ("q=%25", 0),
        ("label__name=mug", 8),  # not in the list: passed over
        ("label=9223372036854775808", 0),
        ("after=-1&before=x", 8),
    ],
)
def test_filters_come_from_the_list_alone(filled: Dataset, client: Client, query: str, count: int) -> None:
    assert len(shown(client.get(f"{reverse('datasets:samples', args=[filled.pk])}?{query}"))) == count


@pytest.mark.parametrize("query", ["split=test", "label=x", "category=-1", "label=99999999999999999999"])
def test_a_filter_that_cannot_be_is_told(filled: Dataset, client: Client, query: str) -> None:
    assert client.get(f"{reverse('datasets:samples', args=[filled.pk])}?{query}").status_code in (200, 422)


def test_a_selection_gets_a_label(filled: Dataset, client: Client) -> None:
    chosen = [sample.pk for sample in Sample.objects.order_by("pk")[:3]]
    data = {"action": "label", "label": "pot", "sample": chosen, "filter": "split=train&q=mug", "expected": "4"}
    response = client.post(reverse("datasets:samples_update", args=[filled.pk]), data)
    assert response.status_code == 302
    assert response.headers["Location"].endswith("?split=train&q=mug")
    assert Sample.objects.filter(label__name="pot").count() == 3


def test_all_that_match_or_409_when_the_number_drifted(filled: Dataset, client: Client) -> None:
    url = reverse("datasets:samples_update", args=[filled.pk])
    data = {"action": "split", "split": "validation", "all_matching": "1", "filter": "split=train", "expected": "4"}
    Sample.objects.filter(split="train").first().delete()  # type: ignore[union-attr]
    drifted = client.post(url, data)
    assert drifted.status_code == 409
    assert b"now 3 match" in drifted.content
    assert Sample.objects.filter(split="train").count() == 3
    assert client.post(url, {**data, "expected": "3"}).status_code == 302
    assert Sample.objects.filter(split="validation", is_query=True).count() == 7


@pytest.mark.parametrize(
    "data",
    [{"action": "label", "label": "x"}, {"action": "label", "sample": ["1"]}, {"action": "drop"}, {}],
)
def test_a_selection_that_says_nothing(filled: Dataset, client: Client, data: dict[str, Any]) -> None:
    assert client.post(reverse("datasets:samples_update", args=[filled.pk]), data).status_code == 422


def test_a_foreign_sample_in_a_selection_is_not_found(filled: Dataset, user: User, client: Client) -> None:
    other = dataset_create(name="Other", user=user)
    data = {"action": "label", "label": "x", "sample": [Sample.objects.all()[0].pk]}
    assert client.post(reverse("datasets:samples_update", args=[other.pk]), data).status_code == 404


def test_a_sample_is_edited_once_per_version(filled: Dataset, client: Client) -> None:
    sample = Sample.objects.filter(split="validation")[0]
    url = reverse("datasets:sample", args=[sample.pk])
    data = {"version": "1", "label": "pot", "split": "train", "is_query": "on", "is_gallery": "on"}
    assert client.post(url, data).status_code == 302
    sample.refresh_from_db()
    assert (str(sample.label), sample.split, sample.is_query, sample.version) == ("pot", "train", False, 2)
    stale = client.post(url, {**data, "label": "pan"})
    assert stale.status_code == 409
    assert b"now pot" in stale.content


def test_a_label_is_edited_once_per_version(filled: Dataset, client: Client) -> None:
    label = Label.objects.get(name="mug 0")
    url = reverse("datasets:label_edit", args=[label.pk])
    assert (
        client.post(url, {"version": "1", "name": "pot", "category": "pots", "next": "//evil.com"}).status_code == 302
    )
    stale = client.post(url, {"version": "1", "name": "pan", "category": ""})
    assert stale.status_code == 409
    assert b"now called pot" in stale.content


# --- snapshots, photos -----------------------------------------------------------------------------------------------


def test_a_snapshot_is_taken_once(filled: Dataset, client: Client) -> None:
    url = reverse("datasets:snapshot_create", args=[filled.pk])
    first, again = client.post(url), client.post(url)
    assert first.headers["Location"] == again.headers["Location"]
    page = client.get(again.headers["Location"]).content.decode()
    assert Snapshot.objects.get().sha256 in page
    assert "there already" in page


def test_an_empty_dataset_has_no_snapshot(dataset: Dataset, client: Client) -> None:
    page = client.get(reverse("datasets:snapshots", args=[dataset.pk])).content.decode()
    assert reverse("datasets:snapshot_create", args=[dataset.pk]) not in page
    assert reverse("datasets:import_create", args=[dataset.pk]) in page
    response = client.post(reverse("datasets:snapshot_create", args=[dataset.pk]))
    assert response.status_code == 422
    assert b"nothing to freeze" in response.content


def test_thumbnails_are_cut_to_the_box_and_cached_for_ever(bring_in: Any, client: Client) -> None:
    bring_in(table_zip(["a,img/0.jpg,train,,,0,0,20,5", "a,img/1.jpg,train,,,,,,"], header=f"{HEADER},x_1,y_1,x_2,y_2"))
    boxed, whole = Sample.objects.order_by("pk")
    response = client.get(reverse("datasets:thumb", args=[boxed.pk, 160]))
    assert decode(response.content).size == (20, 5)
    assert decode(client.get(reverse("datasets:thumb", args=[whole.pk, 160])).content).size == (24, 16)
    assert response.headers["Content-Type"] == "image/webp"
    assert "immutable" in response.headers["Cache-Control"]
    assert "private" in response.headers["Cache-Control"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in response.headers["Content-Security-Policy"]
    again = client.get(
        reverse("datasets:thumb", args=[boxed.pk, 160]), headers={"If-None-Match": response.headers["ETag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(reverse("datasets:thumb", args=[boxed.pk, 161])).status_code == 404


def test_a_photo_has_the_type_that_the_decoder_saw(bring_in: Any, client: Client, settings: Any) -> None:
    bring_in(make_zip({"mug/page.jpg": photo(1, kind="PNG")}))
    sample = Sample.objects.select_related("image").get()
    response = client.get(reverse("datasets:photo", args=[sample.pk]))
    assert response.headers["Content-Type"] == "image/png"
    assert b"".join(response) == photo(1, kind="PNG")
    settings.X_ACCEL_REDIRECT = "/protected/"
    response = client.get(reverse("datasets:photo", args=[sample.pk]))
    assert response.headers["X-Accel-Redirect"] == f"/protected/{sample.image.key}"
    assert response.content == b""


def test_a_photo_that_is_gone_is_not_found(filled: Dataset, client: Client, user: User) -> None:
    shutil.rmtree(settings.MEDIA_ROOT)
    sample = Sample.objects.all()[0]
    for name in ("photo", "thumb"):
        assert client.get(address(name, sample.pk)).status_code == 404
    assert client.get(address("sample", sample.pk)).status_code == 200
