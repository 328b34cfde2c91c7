"""The pages of reports."""

import re
from collections.abc import Callable

import pytest
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import User
from apps.datasets.services import label_rename, samples_update
from apps.jobs.models import Job
from apps.reports import selectors
from apps.reports.models import Evaluation, QueryResult
from apps.training.models import Run
from tests.apps.reports.conftest import report_of

pytestmark = pytest.mark.django_db
ClientFor = Callable[[User], Client]


@pytest.fixture
def client(client_for: ClientFor, manager: User) -> Client:
    return client_for(manager)


def url(report: Evaluation, query: str = "") -> str:
    return reverse("reports:detail", args=[report.pk]) + query


def test_nothing_yet_teaches_the_next_step(client: Client) -> None:
    assert "No report yet" in client.get(reverse("reports:list")).content.decode()


def test_the_page_shows_figures_counts_and_worst_queries(client: Client, report: Evaluation) -> None:
    page = client.get(url(report)).content.decode()
    assert f"{100 * report.overall['cmc@1']:.1f}" in page
    assert "untrained 5.0" in page
    assert "30 queries" in page
    assert "Musgrave" in page
    assert page.count("Open the query") == 10
    assert reverse("datasets:sample", args=[report.queries.order_by("average_precision", "id")[0].sample_id]) in page


def test_the_measured_are_counted_with_their_labels(client: Client, report: Evaluation) -> None:
    counts = report.counts | {"queries_without_match": 3}
    Evaluation.objects.update(counts=counts)
    page = client.get(url(report)).content.decode()
    assert "of 27 searches, for photos of 6 labels," in page
    assert "27 queries of 6 labels" in page
    assert "Few were measured: 27 queries of 6 labels." in page
    assert "27 of 30" in client.get(reverse("reports:list")).content.decode()
    QueryResult.objects.filter(pk=report.queries.latest("pk").pk).update(label="")  # of before labels were kept
    assert "labels," not in client.get(url(report)).content.decode()


def test_enough_that_was_measured_needs_no_caution(report: Evaluation) -> None:
    assert (selectors.FEW_QUERIES, selectors.FEW_LABELS) == (100, 20)
    names = iter(range(1000))
    for result in report.queries.all():
        QueryResult.objects.filter(pk=result.pk).update(label=f"label {next(names)}")
    assert selectors.labels_measured(report) == 30
    report.queries.filter(label="label 0").update(average_precision=None)
    assert selectors.labels_measured(report) == 29


def test_the_worst_come_first(report: Evaluation) -> None:
    worst = selectors.worst_queries(evaluation=report)
    values = [query.result.average_precision or 0.0 for query in worst]
    assert values == sorted(values)
    everything = report.queries.values_list("average_precision", flat=True)
    assert values == sorted(value for value in everything if value is not None)[:10]
    assert all(len(query.neighbours) == 10 for query in worst)


def shown_words(page: str) -> list[tuple[str, str]]:
    """(verdict, label) of every neighbour on the page."""
    verdicts = re.findall(r"(✓ hit|✗ miss)</span>", page)
    return list(zip(verdicts, re.findall(r'neighbour__label" title="([^"]*)"', page), strict=True))


def test_words_and_hits_agree_whatever_is_renamed_and_relabelled_later(
    client: Client, report: Evaluation, manager: User
) -> None:
    before = shown_words(client.get(url(report)).content.decode())
    worst = selectors.worst_queries(evaluation=report)
    first, second = worst[0].sample, worst[0].neighbours[0].sample
    assert first is not None
    assert first.label is not None
    assert second is not None
    old = first.label.name
    label_rename(label=first.label, name="a new name", version=first.label.version, user=manager)
    samples_update(dataset=report.run.dataset, user=manager, sample_ids=[second.pk], label="a new name")

    page = client.get(url(report)).content.decode()
    assert shown_words(page) == before
    assert f"<strong>{old}</strong>" in page
    assert "now: a new name" in page
    query, *_ = selectors.worst_queries(evaluation=report)
    assert (query.label, query.now) == (old, "a new name")
    assert query.neighbours[0].now == "a new name"
    for query in selectors.worst_queries(evaluation=report):
        assert [neighbour.hit for neighbour in query.neighbours] == [
            neighbour.label == query.label for neighbour in query.neighbours
        ]
    samples_update(dataset=report.run.dataset, user=manager, sample_ids=[second.pk], label="")
    assert "now: no label" in client.get(url(report)).content.decode()


def test_what_was_not_touched_is_shown_once(client: Client, report: Evaluation) -> None:
    assert "now:" not in client.get(url(report)).content.decode()


def test_a_sample_or_a_photo_that_is_gone_leaves_the_report_whole(client: Client, report: Evaluation) -> None:
    before = shown_words(client.get(url(report)).content.decode())
    query, other, *_ = selectors.worst_queries(evaluation=report)
    neighbour = other.neighbours[0].sample
    assert query.sample is not None
    assert neighbour is not None
    default_storage.delete(query.neighbours[0].sample.image.key)  # type: ignore[union-attr]
    query.sample.delete()
    neighbour.delete()
    page = client.get(url(report)).content.decode()
    assert shown_words(page) == before
    assert page.count("Open the query") in (8, 9)  # the neighbour may be a worst query itself
    assert f"<strong>{query.label}</strong>" in page
    assert "Deleted since the snapshot" in page


def test_queries_without_a_match_are_not_the_worst(report: Evaluation) -> None:
    ids = list(report.queries.values_list("pk", flat=True)[:25])
    QueryResult.objects.filter(pk__in=ids).update(average_precision=None)
    assert len(selectors.worst_queries(evaluation=report)) == 5


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("name", ["a", "B", "c"]),
        ("-name", ["c", "B", "a"]),
        ("queries", ["B", "a", "c"]),
        ("-cmc@1", ["a", "c", "B"]),
        ("cmc@1", ["c", "a", "B"]),
        ("password", ["a", "B", "c"]),
    ],
)
def test_categories_are_sorted(sort: str, expected: list[str]) -> None:
    rows = [
        {"id": 1, "name": "B", "queries": 0, "metrics": {}},
        {"id": 2, "name": "a", "queries": 3, "metrics": {"cmc@1": 0.9}},
        {"id": 3, "name": "c", "queries": 5, "metrics": {"cmc@1": 0.1}},
    ]
    assert [row["name"] for row in selectors.categories_sorted(Evaluation(categories=rows), sort)] == expected


def test_a_head_of_the_table_turns_the_order_round(client: Client, report: Evaluation) -> None:
    page = client.get(url(report, "?sort=-cmc@1")).content.decode()
    assert 'aria-sort="descending"' in page
    assert "?sort=cmc%401#categories" in page
    assert "?sort=-queries#categories" in page


def test_nothing_to_measure_says_so(client: Client, report: Evaluation) -> None:
    Evaluation.objects.update(
        overall={}, categories=[], counts={"queries": 2, "gallery": 2, "queries_without_match": 2}
    )
    report.queries.all().delete()
    page = client.get(url(report))
    assert page.status_code == 200
    assert "nothing to measure" in page.content.decode()


def test_strangers_find_nothing(client_for: ClientFor, report: Evaluation, other_user: User) -> None:
    client = client_for(other_user)
    assert client.get(url(report)).status_code == 404
    assert report.run.name not in client.get(reverse("reports:list")).content.decode()
    assert client.get(f"{reverse('reports:list')}?dataset={report.run.dataset_id}").status_code == 404


def test_viewers_read(client_for: ClientFor, report: Evaluation, viewer: User) -> None:
    assert client_for(viewer).get(url(report)).status_code == 200


def test_lists_ask_as_often_for_one_as_for_many(client: Client, report: Evaluation, run: Run) -> None:
    def queries(address: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(address).status_code == 200
        return len(captured)

    address = reverse("reports:list")
    queries(address)
    few, page = queries(address), queries(url(report))
    for seed in range(1, 6):
        report_of(run, seed=seed)
    assert queries(address) == few
    QueryResult.objects.filter(evaluation=report, pk__gt=report.queries.order_by("pk")[2].pk).delete()
    assert queries(url(report)) == page
    assert Job.objects.filter(kind="evaluate").count() == 6
