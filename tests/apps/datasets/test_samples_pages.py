"""The grid, what is done with a selection, and the page of one sample."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.datasets.models import Dataset, Label, Sample
from apps.datasets.selectors import samples as sample_selectors
from apps.datasets.services import dataset_create


@pytest.fixture
def client(user: User, client_for: Callable[[User], Client]) -> Client:
    return client_for(user)


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


def test_a_label_in_both_splits_is_told_with_a_link(filled: Dataset, client: Client) -> None:
    url = reverse("datasets:samples_update", args=[filled.pk])
    train, validation = (Sample.objects.filter(split=split).order_by("pk")[0] for split in ("train", "validation"))

    def said(**data: Any) -> str:
        return client.post(url, data, follow=True).content.decode()

    assert "both splits" not in said(action="label", label="pot <b>", sample=[train.pk])
    page = said(action="label", label=" pot <b> ", sample=[validation.pk])
    assert "pot &lt;b&gt; is now in both splits, which stops a training" in page
    assert f"{reverse('datasets:samples', args=[filled.pk])}?label={Label.objects.get(name='pot <b>').pk}" in page
    assert "both splits" not in said(action="split", split="train", sample=[validation.pk])
    edit = {"version": "3", "label": "cup 2", "split": "train"}
    page = client.post(reverse("datasets:sample", args=[validation.pk]), edit, follow=True).content.decode()
    assert "cup 2 is now in both splits" in page


def test_a_move_that_parts_labels_is_told(filled: Dataset, client: Client) -> None:
    """Of the samples that moved; also of all that match, which do not match any more."""
    url = reverse("datasets:samples_update", args=[filled.pk])
    halves = list(Sample.objects.order_by("label", "pk").distinct("label"))
    moved = [sample.pk for sample in halves if sample.split == "validation"]
    page = client.post(url, {"action": "split", "split": "train", "sample": moved}, follow=True).content.decode()
    assert "Some labels are now in both splits" in page
    assert ">cup 2</a>, <a" in page
    mug = next(sample for sample in halves if sample.split == "train")
    matching = {"all_matching": "1", "filter": f"split=train&q={mug.path}", "expected": "1"}
    page = client.post(url, {"action": "split", "split": "validation", **matching}, follow=True).content.decode()
    assert f"{mug.label} is now in both splits" in page  # and no word of cup 2, which was not touched


def test_what_cannot_be_is_told_in_the_grid(filled: Dataset, client: Client) -> None:
    """On the page that it was sent from, with the selection and what was chosen."""
    chosen = [sample.pk for sample in Sample.objects.filter(split="train").order_by("pk")[1:3]]
    data = {"action": "flags", "flags": "query", "sample": chosen, "filter": "q=mug", "after": str(chosen[0] - 1)}
    response = client.post(reverse("datasets:samples_update", args=[filled.pk]), data)
    page = response.content.decode()
    assert response.status_code == 422
    assert "These 2 samples are not in the validation split, so they can be neither query nor gallery." in page
    assert 'aria-label="Mugs"' in page
    assert shown(response) == [
        pk for pk in Sample.objects.order_by("pk").values_list("pk", flat=True)[:4] if pk >= chosen[0]
    ]
    assert page.count(" checked aria-label=") == 2
    assert '<option value="query" selected>' in page
    one = client.post(reverse("datasets:samples_update", args=[filled.pk]), {**data, "sample": chosen[:1]})
    assert "This sample is not in the validation split" in one.content.decode()
    odd = client.post(reverse("datasets:samples_update", args=[filled.pk]), {"action": "drop", "filter": "split=odd"})
    assert odd.status_code == 422


def test_pages_go_on_from_a_page_with_an_error(
    filled: Dataset, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_selectors, "PAGE_SIZE", 3)
    response = client.post(reverse("datasets:samples_update", args=[filled.pk]), {"action": "label", "filter": "q=img"})
    following = client.get(response.context["next_url"])
    assert shown(following) == list(Sample.objects.order_by("pk").values_list("pk", flat=True)[3:6])


def test_deleting_acts_on_exactly_what_is_selected(filled: Dataset, client: Client) -> None:
    url = reverse("datasets:samples_delete", args=[filled.pk])
    first, second, third, *_ = Sample.objects.order_by("pk").values_list("pk", flat=True)
    data = {"sample": [first, third], "filter": "split=train", "after": "", "label": "x" * 300}
    response = client.post(url, data)
    assert response.headers["Location"].endswith("?split=train")
    assert "2 samples are deleted" in client.get(response.headers["Location"]).content.decode()
    assert Sample.objects.filter(split="train").earliest("pk").pk == second
    assert (Sample.objects.count(), Label.objects.count()) == (6, 4)
    assert client.post(url, {"sample": [second, first]}).status_code == 409  # one that is gone: nothing is done
    everything = {"all_matching": "1", "filter": "split=train", "expected": "3", "sample": [second]}
    drifted = client.post(url, everything)
    assert (drifted.status_code, "now 2 match" in drifted.content.decode()) == (409, True)
    assert client.post(url, {"filter": "split=train"}).status_code == 422
    assert Sample.objects.count() == 6
    assert client.post(url, {**everything, "expected": "2"}).status_code == 302
    assert set(Sample.objects.values_list("split", flat=True)) == {"validation"}


def test_the_page_after_the_last_one_was_deleted(
    filled: Dataset, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_selectors, "PAGE_SIZE", 3)
    ids = list(Sample.objects.order_by("pk").values_list("pk", flat=True))
    data = {"sample": ids[6:], "after": str(ids[5])}
    response = client.post(reverse("datasets:samples_delete", args=[filled.pk]), data, follow=True)
    assert shown(response) == ids[3:6]
    assert response.context["next_url"] == ""


def test_what_cannot_be_is_told_beside_the_sample(filled: Dataset, client: Client) -> None:
    sample = Sample.objects.filter(split="train")[0]
    url = reverse("datasets:sample", args=[sample.pk])
    response = client.post(url, {"version": "1", "label": "jug", "split": "train", "is_query": "on"})
    page = response.content.decode()
    assert (response.status_code, response.templates[0].name) == (422, "datasets/sample.html")
    assert "This sample is not in the validation split, so it can be neither" in page
    assert 'value="jug"' in page
    assert not Label.objects.filter(name="jug").exists()
    assert "No split" not in page  # one that is in a split stays in one
    Sample.objects.filter(pk=sample.pk).update(split="")
    assert "No split" in client.get(url).content.decode()


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
    data["version"] = str(stale.context["form"]["version"].value())
    again = {"version": data["version"], "label": "pan", "split": "train"}
    assert client.post(url, again).status_code == 302  # based on what was shown with the error
    sample.refresh_from_db()
    assert str(sample.label) == "pan"


def test_a_sample_that_somebody_just_deleted_leaves_the_page_standing(filled: Dataset, client: Client) -> None:
    ids = list(Sample.objects.order_by("pk").values_list("pk", flat=True)[:3])
    Sample.objects.get(pk=ids[0]).delete()
    for name, more in (("samples_delete", {}), ("samples_update", {"label": "x", "action": "label"})):
        answer = client.post(reverse(f"datasets:{name}", args=[filled.pk]), {"sample": ids, **more})
        page = answer.content.decode()
        assert answer.status_code == 409, name
        assert "3 samples were selected" in page
        assert "selection-bar" in page
    assert Sample.objects.count() == 7
