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

from apps.accounts.models import Membership, Role, User
from apps.datasets.models import Dataset, Import, Label, Sample, Snapshot
from apps.datasets.services import dataset_create, snapshot_create
from apps.datasets.urls import urlpatterns
from apps.jobs.models import Job
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
        (filled, "edit samples_delete members"),
        (sample, "sample photo thumb"),
        (label, "label_edit label_delete"),
        (Membership.objects.get(user=user, dataset=filled), "member_remove"),
        (Import.objects.get(), "import"),
        (snapshot, "snapshot snapshot_manifest snapshot_table"),
    ]
    return {name: row.pk for row, names in by_kind for name in names.split()}


def address(name: str, pk: int) -> str:
    return reverse(f"datasets:{name}", args=[pk, 160] if name == "thumb" else [pk])


NAMES = (
    *("detail", "samples", "labels", "imports", "import_create", "snapshots", "samples_update"),
    *("label_create", "snapshot_create", "sample", "photo", "thumb", "label_edit", "import", "snapshot"),
    *("snapshot_manifest", "snapshot_table", "edit", "samples_delete", "label_delete", "members", "member_remove"),
)
POST_ONLY = {
    *("samples_update", "label_create", "snapshot_create", "label_edit", "edit", "samples_delete", "label_delete"),
    "member_remove",
}


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
        ("label_delete", Role.VIEWER),
        ("edit", Role.ANNOTATOR),
        ("samples_delete", Role.ANNOTATOR),
        ("import_create", Role.ANNOTATOR),
        ("snapshot_create", Role.ANNOTATOR),
    ],
)
def test_a_role_that_is_too_low_is_told_so(
    name: str, role: Role, keys: dict[str, int], member_client: MemberClient
) -> None:
    Label.objects.create(dataset_id=keys["detail"], name="without samples")
    data = {"name": "x", "version": 1, "action": "label", "label": "x", "sample": [keys["sample"]]}
    response = member_client(role).post(address(name, keys[name]), data)
    assert response.status_code == 403
    assert (Sample.objects.count(), Import.objects.count(), Snapshot.objects.count()) == (8, 1, 1)
    assert (Label.objects.count(), Label.objects.filter(name="x").exists()) == (5, False)
    assert Dataset.objects.get().name == "Mugs"


def test_a_viewer_sees_no_tools(filled: Dataset, member_client: MemberClient) -> None:
    page = member_client(Role.VIEWER).get(reverse("datasets:samples", args=[filled.pk])).content.decode()
    assert "tile__photo" in page
    assert "selection-bar" not in page
    assert "tile__check" not in page
    assert "Select with" not in page


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


@pytest.mark.parametrize(
    ("data", "said"),
    [(make_zip({"mug/1.jpg": photo()})[:-30], "cut short"), (b"no zip at all", "is not a zip"), (b"PK", "cut short")],
)
def test_what_is_no_zip_is_told_on_the_page(data: bytes, said: str, dataset: Dataset, client: Client) -> None:
    url = reverse("datasets:import_create", args=[dataset.pk])
    response = client.post(url, {"file": SimpleUploadedFile("mugs.zip", data)})
    assert (response.status_code, Import.objects.count()) == (422, 0)
    assert said in response.content.decode()
    assert "Drop a zip here" in response.content.decode()


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


def test_an_import_says_how_it_ended(dataset: Dataset, bring_in: Any, client: Client) -> None:
    def page(made: Import) -> str:
        return client.get(reverse("datasets:import", args=[made.pk])).content.decode()

    good = page(bring_in(make_zip({"mug/1.jpg": photo(1)}))[0])
    assert "1 added" in good
    assert ("notice--ok" in good, "refused (" in good, "no label" in good) == (True, False, False)
    partly, _ = bring_in(make_zip({"a.jpg": photo(1), "b.jpg": photo(2), "c.jpg": photo(3), "bad.jpg": b"x"}))
    text = " ".join(page(partly).split())
    assert "2 added, 1 refused (" in text
    assert "1 there already (" in text
    assert "2 have no label: <a" in text
    assert ("notice--warn" in text, "notice--ok" in text) == (True, False)
    assert "with refusals" in client.get(reverse("datasets:imports", args=[dataset.pk])).content.decode()
    Sample.objects.filter(path="b.jpg").update(label=Label.objects.get(name="mug"))
    assert "1 has no label" in page(partly)
    failed, job = bring_in(table_zip(["mug,img/gone.jpg,train,,"]))
    assert (job.state, "Nothing was imported." in page(failed)) == (Job.State.FAILED, True)
    assert "import's page" not in page(failed)  # it is that page


def test_problems_are_shown_with_their_rows(bring_in: Any, client: Client) -> None:
    made, _ = bring_in(table_zip(["mug,img/gone.jpg,train,,"] * 1))
    page = client.get(reverse("datasets:import", args=[made.pk])).content.decode()
    assert "img/gone.jpg is not in the upload" in page


# --- snapshots, photos -----------------------------------------------------------------------------------------------


def test_a_snapshot_is_taken_once(filled: Dataset, client: Client) -> None:
    url = reverse("datasets:snapshot_create", args=[filled.pk])
    first, again = client.post(url), client.post(url)
    assert first.headers["Location"] == again.headers["Location"]
    page = client.get(again.headers["Location"]).content.decode()
    assert Snapshot.objects.get().sha256 in page
    assert "there already" in page


def test_a_snapshot_is_trained_on_itself(filled: Dataset, user: User, client: Client) -> None:
    snapshot = snapshot_create(dataset=filled, user=user)
    page = client.get(reverse("datasets:snapshot", args=[snapshot.pk])).content.decode()
    assert f'?dataset={filled.pk}&amp;snapshot={snapshot.pk}">Train on this snapshot' in page


def test_why_no_snapshot_can_be_taken(filled: Dataset, client: Client) -> None:
    url = reverse("datasets:snapshots", args=[filled.pk])
    assert "disabled" not in client.get(url).content.decode()
    Sample.objects.update(split="", is_query=False, is_gallery=False)
    page = client.get(url).content.decode()
    assert "No sample has both a label and a split." in page
    assert 'type="submit" disabled aria-describedby="no-snapshot"' in page
    refused = client.post(reverse("datasets:snapshot_create", args=[filled.pk]))
    assert (refused.status_code, refused.templates[0].name) == (422, "datasets/snapshots.html")


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
