"""The pages of runs: what they show, to whom, and in how many queries."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import Membership, Role, User
from apps.datasets.models import Dataset, Snapshot
from apps.datasets.services import snapshot_create
from apps.jobs.models import Job
from apps.training.forms import RunForm
from apps.training.models import Run
from apps.training.recipes import recipe_parse, recipe_text
from apps.training.services import run_create
from mlcore.config import PRESETS, Handcrafted, NoHead, NTXent, Recipe, ResNet, Torchvision
from tests.apps.training.conftest import SMALL, Photos

pytestmark = pytest.mark.django_db
ClientFor = Callable[[User], Client]


@pytest.fixture
def client(client_for: ClientFor, manager: User) -> Client:
    return client_for(manager)


def fields(shown_recipe: Recipe, snapshot: Snapshot | None = None, **changes: Any) -> dict[str, Any]:
    """What the form sends for a recipe that was shown with its own batches, with some fields changed."""
    shown = RunForm.initial_for(shown_recipe, "quick", own=("labels", "instances"))
    data = {"name": "", "snapshot": snapshot.pk if snapshot else "now", **shown, **changes}
    return {name: value for name, value in data.items() if value is not None}


def new_url(dataset: Dataset) -> str:
    return f"{reverse('training:new')}?dataset={dataset.pk}"


def preview_url(dataset: Dataset) -> str:
    return f"{reverse('training:preview')}?dataset={dataset.pk}"


def test_nothing_yet_teaches_the_next_step(client: Client) -> None:
    page = client.get(reverse("training:list"))
    assert "No run yet" in page.content.decode()


def sent(page: Any, **changes: Any) -> dict[str, Any]:
    """What a browser sends for a form that it was shown, with some fields changed."""
    shown = {field.name: field.value() for field in page.context["form"]}
    return {name: value for name, value in {**shown, **changes}.items() if value is not None}


def help_of(page: Any, name: str) -> str:
    return str(page.context["form"][name].help_text)


def test_the_new_page_starts_at_what_fits(client: Client, snapshot: Snapshot) -> None:
    page = client.get(f"{new_url(snapshot.dataset)}&snapshot={snapshot.pk}&preset=quick")
    assert page.context["form"]["labels"].value() == 12
    assert "labels: 12" in page.context["form"]["recipe"].value()
    assert "16 in the preset; the train split has 12 labels." in page.content.decode()
    assert "The check found nothing in the way" in page.content.decode()
    assert "100 steps, each sample about 80 times" in page.content.decode()  # of the preset's card: 100 x 12 x 4 of 60
    assert not Run.objects.exists()
    client.post(new_url(snapshot.dataset), sent(page))
    run = Run.objects.get()
    assert run.recipe["sampler"] == {"kind": "balanced", "labels": 12, "instances": 4}
    assert run.preset == "quick"
    assert "12 labels, 4 samples of each" in client.get(reverse("training:detail", args=[run.pk])).content.decode()


def test_few_samples_a_label_are_fitted_too(client: Client, dataset: Dataset, photos: Photos) -> None:
    for label in range(20):
        photos(label, "train", count=2)
    photos(30, "validation")
    page = client.get(new_url(dataset))
    assert page.context["form"]["labels"].value() == 16
    assert page.context["form"]["instances"].value() == 2
    assert help_of(page, "instances") == "4 in the preset; no train label has more than 2 samples."
    assert not page.context["preflight"]


def test_what_was_fitted_follows_snapshot_and_preset(
    client: Client, snapshot: Snapshot, photos: Photos, manager: User
) -> None:
    for label in range(30, 40):
        photos(label, "train")
    more = snapshot_create(dataset=snapshot.dataset, user=manager)
    url = preview_url(snapshot.dataset)
    page = client.get(f"{new_url(snapshot.dataset)}&snapshot={snapshot.pk}&preset=quick")
    page = client.post(url, sent(page, lr=0.002))
    assert help_of(page, "labels").startswith("16 in the preset")  # still said after another change
    page = client.post(url, sent(page, snapshot=more.pk))
    assert page.context["form"]["labels"].value() == 16
    assert help_of(page, "labels") == "Of balanced batches."
    page = client.post(url, sent(page, snapshot=snapshot.pk, preset="best"))
    assert page.context["form"]["labels"].value() == 12
    assert not page.context["blocked"]


def test_what_a_person_chose_is_not_fitted_but_refused_with_its_fix(client: Client, snapshot: Snapshot) -> None:
    url = preview_url(snapshot.dataset)
    page = client.get(f"{new_url(snapshot.dataset)}&snapshot={snapshot.pk}&preset=quick")
    page = client.post(url, sent(page, labels=16))
    page = client.post(url, sent(page, seed=3))  # and not at the next change either
    assert page.context["form"]["labels"].value() == 16
    assert "The recipe puts 16 labels into a batch; the train split has 12." in page.content.decode()
    assert "Set labels in a batch to 12 or fewer" in page.content.decode()
    assert "disabled" in page.content.decode()
    answer = client.post(new_url(snapshot.dataset), sent(page))
    assert answer.status_code == 422
    assert not Run.objects.exists()
    page = client.post(url, sent(page, preset="standard"))  # another preset: a new start
    assert page.context["form"]["labels"].value() == 12


def test_without_javascript_one_post_fits_a_changed_preset(client: Client, snapshot: Snapshot) -> None:
    page = client.get(f"{new_url(snapshot.dataset)}&snapshot={snapshot.pk}&preset=quick")
    client.post(new_url(snapshot.dataset), sent(page, preset="best", instances=3))
    run = Run.objects.get()
    assert run.recipe["extractor"]["arch"] == "resnet34"
    assert run.recipe["sampler"] == {"kind": "balanced", "labels": 12, "instances": 3}


def test_a_sampler_in_the_text_is_somebodys_choice(client: Client, snapshot: Snapshot) -> None:
    page = client.get(f"{new_url(snapshot.dataset)}&snapshot={snapshot.pk}&preset=quick")
    text = page.context["form"]["recipe"].value().replace("labels: 12", "labels: 5")
    page = client.post(preview_url(snapshot.dataset), sent(page, recipe=text))
    assert page.context["form"]["labels"].value() == 5
    assert not page.context["blocked"]


@pytest.mark.parametrize(
    ("train", "validation", "message", "blocked"),
    [
        ({0: 5}, {20: 5}, "Only 1 training label (mark 00) has two different samples or more", True),
        ({0: 1, 1: 1, 2: 1}, {20: 5}, "No training label has two different samples or more", True),
        ({0: 5, 1: 5}, {20: 5}, "Only 2 training labels have two different samples or more: mark 00, mark 01.", False),
        (
            {**dict.fromkeys(range(9), 5), 9: 1},
            {20: 5},
            "1 training label has one sample, copies left out: mark 09.",
            False,
        ),
        (dict.fromkeys(range(9), 5), {}, "There is no validation split", True),
        (dict.fromkeys(range(9), 5), {20: 1, 21: 1}, "Not one of the 2 queries has a match in the gallery", True),
        (dict.fromkeys(range(9), 5), {20: 5, 21: 1}, "1 of 6 queries have no match in the gallery", False),
    ],
)
def test_a_bad_split_is_told_on_the_page_before_any_time_is_spent(
    client: Client,
    dataset: Dataset,
    photos: Photos,
    train: dict[int, int],
    validation: dict[int, int],
    message: str,
    blocked: bool,
) -> None:
    for split, labels in (("train", train), ("validation", validation)):
        for label, count in labels.items():
            photos(label, split, count=count)
    page = client.get(new_url(dataset))
    assert message in page.content.decode()
    assert page.context["blocked"] == blocked
    assert all(problem["remedy"] for problem in page.context["preflight"])
    answer = client.post(new_url(dataset), sent(page))
    assert answer.status_code == (422 if blocked else 302)
    assert not blocked or message in answer.content.decode()
    assert Run.objects.count() == Job.objects.count() == (0 if blocked else 1)


def test_the_new_page_checks_the_present_state_too(client: Client, snapshot: Snapshot, photos: Photos) -> None:
    photos(0, "validation", drawn_as=60)
    page = client.get(new_url(snapshot.dataset)).content.decode()
    assert "in both splits" in page
    assert Snapshot.objects.count() == 1


def test_a_dataset_without_samples(client: Client, dataset: Dataset) -> None:
    page = client.get(new_url(dataset))
    assert page.status_code == 200
    assert "Nothing to train on yet" in page.content.decode()
    assert reverse("datasets:import_create", args=[dataset.pk]) in page.content.decode()
    answer = client.post(new_url(dataset), fields(SMALL))
    assert answer.status_code == 422
    assert "nothing to freeze" in answer.content.decode()


def test_start_makes_snapshot_and_run(client: Client, snapshot: Snapshot) -> None:
    answer = client.post(new_url(snapshot.dataset), fields(SMALL, steps=7, name="Mine"))
    run = Run.objects.get()
    assert answer.headers["Location"] == reverse("training:detail", args=[run.pk])
    assert run.snapshot == snapshot  # nothing had changed since
    assert run.name == "Mine"
    assert run.recipe["steps"] == 7


def test_start_lists_every_fault_on_the_page(client: Client, snapshot: Snapshot) -> None:
    answer = client.post(new_url(snapshot.dataset), fields(PRESETS["quick"], snapshot))
    assert answer.status_code == 422
    assert "16 labels into a batch" in answer.content.decode()
    assert not Run.objects.exists()


def test_a_faulty_recipe_is_listed_by_field(client: Client, snapshot: Snapshot) -> None:
    answer = client.post(new_url(snapshot.dataset), fields(SMALL, snapshot, recipe="steps: -1\nloss: {kind: magic}"))
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "<code>steps</code>" in page
    assert "<code>loss</code>" in page


def test_a_knob_out_of_range_is_marked(client: Client, snapshot: Snapshot) -> None:
    page = client.post(preview_url(snapshot.dataset), fields(SMALL, snapshot, size=7)).content.decode()
    assert "greater than or equal to 16" in page
    assert "Correct the marked fields" in page


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"steps": 80}, {"steps": 80, "validate_every": 40}),
        ({"preset": "standard"}, {"steps": 400}),
        ({"preset": "standard", "steps": 50}, {"steps": 50}),
        ({"recipe": "steps: 33"}, {"steps": 33, "log_every": 2}),
        ({"recipe": "steps: 33", "seed": 5}, {"steps": 33, "seed": 5}),
    ],
)
def test_what_was_changed_counts(
    client: Client, snapshot: Snapshot, changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    answer = client.post(preview_url(snapshot.dataset), fields(SMALL, snapshot, **changes))
    form = answer.context["form"]
    from apps.training.recipes import recipe_parse

    recipe = recipe_parse(form["recipe"].value()).model_dump()
    assert {name: recipe[name] for name in expected} == expected
    assert form["steps"].value() == recipe["steps"]
    assert form["base"].value() == form["recipe"].value()
    assert not Run.objects.exists()


def test_a_snapshot_of_another_dataset_is_not_found(client: Client, snapshot: Snapshot, manager: User) -> None:
    other = Dataset.objects.create(name="Other")
    Membership.objects.create(user=manager, dataset=other, role=Role.MANAGER)
    for url in (new_url(other), preview_url(other)):
        assert client.post(url, fields(SMALL, snapshot)).status_code == 404
    assert client.get(f"{new_url(other)}&snapshot={snapshot.pk}").status_code == 404
    assert client.get(f"{new_url(other)}&snapshot=%F0%9F%90%88").status_code == 404


def test_strangers_find_nothing(client_for: ClientFor, run: Run, other_user: User) -> None:
    client = client_for(other_user)
    for name in ("detail", "live", "points"):
        assert client.get(reverse(f"training:{name}", args=[run.pk])).status_code == 404
    assert client.post(reverse("training:publish", args=[run.pk]), {"model_name": "x"}).status_code == 404
    for url in (new_url(run.dataset), f"{reverse('training:list')}?dataset={run.dataset_id}"):
        assert client.get(url).status_code == 404
    assert client.post(preview_url(run.dataset), fields(SMALL)).status_code == 404
    assert run.name not in client.get(reverse("training:list")).content.decode()


def test_viewers_look_but_do_not_start(client_for: ClientFor, run: Run, viewer: User) -> None:
    client = client_for(viewer)
    assert client.get(reverse("training:detail", args=[run.pk])).status_code == 200
    listed = client.get(reverse("training:list"), {"dataset": run.dataset.pk}).content.decode()
    assert "Train a model" not in listed
    assert client.get(new_url(run.dataset)).status_code == 403
    assert client.post(new_url(run.dataset), fields(SMALL)).status_code == 403
    assert client.post(preview_url(run.dataset), fields(SMALL)).status_code == 403
    assert client.post(reverse("training:publish", args=[run.pk]), {"model_name": "x"}).status_code == 403
    assert Run.objects.count() == 1


def test_the_run_page_polls_while_it_can_change(client: Client, run: Run) -> None:
    url = reverse("training:detail", args=[run.pk])
    page = client.get(url).content.decode()
    assert "data-live" in page
    assert reverse("training:live", args=[run.pk]) in page
    run.warnings = ["The model has collapsed at step 3."]
    run.save()
    assert "collapsed" in client.get(reverse("training:live", args=[run.pk])).content.decode()
    Job.objects.filter(pk=run.job_id).update(state=Job.State.CANCELLED)
    page = client.get(url).content.decode()
    assert "data-live" not in page
    assert reverse("training:live", args=[run.pk]) not in page


def test_a_finished_run_shows_its_figures_and_offers_to_publish(client: Client, run: Run, viewer: User) -> None:
    Job.objects.filter(pk=run.job_id).update(state=Job.State.SUCCEEDED)
    default_storage.save("runs/x/config.json", ContentFile(b"{}"))
    run.folder_key, run.metrics, run.untrained_metrics = "runs/x", {"cmc@1": 0.912}, {"cmc@1": 0.2}
    run.save()
    page = client.get(reverse("training:detail", args=[run.pk])).content.decode()
    assert "91.2" in page
    assert "+71.2" in page
    assert reverse("training:publish", args=[run.pk]) in page
    answer = client.post(reverse("training:publish", args=[run.pk]), {"model_name": "Marks"})
    assert answer.status_code == 422  # its files are not a model's; what is wrong is said
    viewers_page = Client()
    viewers_page.force_login(viewer)
    assert (
        reverse("training:publish", args=[run.pk])
        not in viewers_page.get(reverse("training:detail", args=[run.pk])).content.decode()
    )


def test_the_list_asks_as_often_for_one_run_as_for_many(client: Client, snapshot: Snapshot, manager: User) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert client.get(reverse("training:list")).status_code == 200
            assert client.get(f"{reverse('training:list')}?dataset={snapshot.dataset_id}").status_code == 200
        return len(captured)

    run_create(snapshot=snapshot, preset="", recipe=SMALL, name="one", user=manager)
    client.get(reverse("training:list"))
    few = queries()
    for number in range(8):
        run_create(snapshot=snapshot, preset="", recipe=SMALL, name=f"{number}", user=manager)
    assert queries() == few


def test_the_list_pages(client: Client, snapshot: Snapshot, manager: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.training.views.PAGE_SIZE", 2)
    for number in range(5):
        run_create(snapshot=snapshot, preset="", recipe=SMALL, name=f"run {number}", user=manager)
    url, seen = f"{reverse('training:list')}?dataset={snapshot.dataset_id}", []
    while url:
        page = client.get(url)
        seen += [run.name for run in page.context["runs"]]
        next_url = page.context["next_url"]
        url = reverse("training:list") + next_url if next_url else ""
    assert seen == [f"run {number}" for number in range(4, -1, -1)]


def test_without_a_dataset_one_is_chosen(client: Client, dataset: Dataset, manager: User) -> None:
    assert client.get(reverse("training:new")).headers["Location"] == new_url(dataset)
    other = Dataset.objects.create(name="Other")
    Membership.objects.create(user=manager, dataset=other, role=Role.VIEWER)
    assert client.get(reverse("training:new")).status_code == 302
    Membership.objects.update(role=Role.MANAGER)
    page = client.get(reverse("training:new")).content.decode()
    assert "Other" in page
    assert "Marks" in page


def test_older_snapshots_can_be_trained_on(client: Client, snapshot: Snapshot, photos: Photos, manager: User) -> None:
    photos(40, "train")
    assert snapshot_create(dataset=snapshot.dataset, user=manager).number == 2
    client.post(new_url(snapshot.dataset), fields(SMALL, snapshot))
    assert Run.objects.get().snapshot == snapshot


def test_a_network_and_a_loss_that_no_list_names_stay_what_they_are(client: Client, snapshot: Snapshot) -> None:
    extractor = Torchvision(arch="convnext_tiny", pretrained=None, dimension=32)
    text = recipe_text(SMALL.model_copy(update={"extractor": extractor, "loss": NTXent()}))
    page = client.post(preview_url(snapshot.dataset), fields(SMALL, snapshot, recipe=text))
    assert page.status_code == 200
    assert page.context["form"]["arch"].value() == "convnext_tiny"
    assert '<option value="convnext_tiny" selected>' in page.content.decode()
    again = client.post(preview_url(snapshot.dataset), sent(page, seed=7))  # one knob turned, the rest as shown
    client.post(new_url(snapshot.dataset), sent(again))
    recipe = Run.objects.get().recipe
    assert (recipe["extractor"]["kind"], recipe["extractor"]["arch"]) == ("torchvision", "convnext_tiny")
    assert (recipe["loss"]["kind"], recipe["seed"]) == ("nt_xent", 7)


def test_another_network_does_not_keep_the_weights_of_the_one_before(client: Client, snapshot: Snapshot) -> None:
    extractor = ResNet(arch="resnet18", dimension=512, pretrained="resnet18_imagenet", head=NoHead())
    shown = SMALL.model_copy(update={"extractor": extractor})
    page = client.post(preview_url(snapshot.dataset), fields(shown, snapshot, arch="vit_tiny"))
    chosen = recipe_parse(page.context["form"]["recipe"].value()).extractor
    assert (chosen.kind, chosen.arch, chosen.pretrained) == ("vit", "vit_tiny", None)


def test_the_statistics_can_be_left_out(client: Client, snapshot: Snapshot) -> None:
    page = client.get(f"{new_url(snapshot.dataset)}&snapshot={snapshot.pk}&preset=quick")
    assert '<option value="True" selected>' in page.content.decode()
    page = client.post(preview_url(snapshot.dataset), sent(page, statistics="False"))
    assert '<option value="False" selected>' in page.content.decode()
    client.post(new_url(snapshot.dataset), sent(page))
    run = Run.objects.get()
    assert run.recipe["extractor"] == PRESETS["quick"].extractor.model_dump() | {"statistics": False}
    assert "Statistics" not in client.get(reverse("training:detail", args=[run.pk])).content.decode()


def test_what_cannot_learn_is_refused_before_any_work(client: Client, snapshot: Snapshot) -> None:
    text = recipe_text(SMALL.model_copy(update={"extractor": Handcrafted()}))
    page = client.post(preview_url(snapshot.dataset), fields(SMALL, snapshot, recipe=text))
    assert page.status_code == 200
    assert "nothing of it learns" in page.content.decode()
    assert page.context["form"]["statistics"].value() is None
    page = client.post(new_url(snapshot.dataset), sent(page, statistics=""))  # as browsers send what it does not have
    assert (page.status_code, "nothing of it learns" in page.content.decode()) == (422, True)
    assert not Run.objects.exists()


def test_the_best_may_be_named_in_full(client: Client, snapshot: Snapshot) -> None:
    text = recipe_text(SMALL.model_copy(update={"best_metric": "overall/map@r"}))
    client.post(new_url(snapshot.dataset), fields(SMALL, snapshot, recipe=text))
    assert Run.objects.get().recipe["best_metric"] == "overall/map@r"
