"""The pages of reports."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import User
from apps.core import metrics
from apps.datasets.services import label_rename, samples_update
from apps.jobs.models import Job
from apps.reports import selectors
from apps.reports.models import Evaluation, QueryResult
from apps.training.models import Run
from mlcore.retrieval.bootstrap import Bootstrap, ratio_intervals
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


def test_a_training_that_made_it_worse_is_said_to_have(client: Client, report: Evaluation) -> None:
    assert "The training did not help" not in client.get(url(report)).content.decode()
    Evaluation.objects.update(untrained=report.untrained | {"cmc@1": report.overall["cmc@1"] + 0.01})
    assert "The training did not help here" in client.get(url(report)).content.decode()


def test_the_measured_are_counted_with_their_labels(client: Client, report: Evaluation) -> None:
    counts = report.counts | {"queries_without_match": 3}
    Evaluation.objects.update(counts=counts)
    page = client.get(url(report)).content.decode()
    assert "of 27 searches, for photos of 6 labels," in page
    assert "27 queries of 6 labels" in page
    assert "Few were measured: 27 queries of 6 labels." in page
    assert "27 of 30" in client.get(reverse("reports:list")).content.decode()
    QueryResult.objects.filter(pk=report.queries.latest("pk").pk).update(label="")  # of before labels were kept
    assert "searches, for photos of" not in client.get(url(report)).content.decode()


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


def words(page: str) -> str:
    """The page's text as people read it."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def table(page: str, head: str) -> list[list[str]]:
    """The cells of the table that has `head` in its head, row by row."""
    rows = page.partition(head)[2].partition("<tbody>")[2].partition("</tbody>")[0].split("<tr>")[1:]
    return [[words(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)] for row in rows]


def shares(interval: list[float]) -> str:
    low, high = interval
    return "no interval" if low == high else f"{100 * low:.1f} % to {100 * high:.1f} %"


def changed(report: Evaluation, **extras: Any) -> None:
    Evaluation.objects.filter(pk=report.pk).update(extras=report.extras | extras)


def test_each_headline_has_its_interval(client: Client, report: Evaluation) -> None:
    page = client.get(url(report)).content.decode()
    for name in selectors.HEADLINES:
        low, high = report.extras["intervals"]["figures"][name]
        assert f"95 %: {100 * low:.1f} % to {100 * high:.1f} %" in words(page), name
    assert "1,000 times, 30 queries were drawn anew" in page
    figures = {cells[0]: cells[1:3] for cells in table(page, "Figure</th>")}
    for name, value in report.overall.items():
        known = report.extras["intervals"]["figures"][name]
        assert figures[metrics.label(name)] == [f"{100 * value:.1f} %", shares(known)], name


def test_thresholds_carry_unit_rate_and_counts(client: Client, report: Evaluation) -> None:
    found = report.extras["verification"]
    changed(report, verification=found | {"points": found["points"][::-1]})
    html = client.get(url(report)).content.decode()
    page = words(html)
    assert "their cosine distance (0 to 2) is below a threshold" in page
    assert [point["wanted_fmr"] for point in found["points"]] == [0.1, 0.01, 0.001]  # as a page shows them
    for point, row in zip(found["points"], table(html, "Score above"), strict=True):
        # 30 queries of 6 labels make 750 pairs of two labels, of which 0.1 % is not even one
        few = " few pairs" if point["wanted_fmr"] == 0.001 else ""
        assert row == [
            f"{100 * point['wanted_fmr']:.1f} %",
            f"{point['threshold']:.4f}",
            f"{100 * point['fnmr']:.1f} %",
            shares(report.extras["intervals"]["figures"][f"fnmr@{point['wanted_fmr']}"]),
            f"{100 * point['false_match_rate']:.2f} %{few}",
            f"{1 - point['threshold']:.4f}",
        ]
    assert f"{found['genuine']:,} pairs of one label and {found['impostor']:,} pairs of two" in page


def test_fnmr_stands_with_the_categories(client: Client, report: Evaluation) -> None:
    page = client.get(url(report, "?sort=-fnmr@0.1")).content.decode()
    rows = sorted(report.categories, key=lambda row: -row["metrics"]["fnmr@0.1"])
    shown = [[row[0], *row[5:8]] for row in table(page, 'id="categories-title"')]
    names = ("fnmr@0.1", "fnmr@0.01", "fnmr@0.001")
    assert shown == [[row["name"], *(f"{100 * row['metrics'][name]:.1f} %" for name in names)] for row in rows]
    assert "with that same threshold" in page.partition("FNMR@FMR=10 %")[0]
    assert "FNMR, where small is good: of the pairs of one label, the share that a threshold takes for two" in page
    for row in report.categories:  # as before categories had it
        row["metrics"] = {name: value for name, value in row["metrics"].items() if not name.startswith("fnmr")}
    report.save()
    page = client.get(url(report, "?sort=-fnmr@0.1")).content.decode()
    assert "FNMR@FMR" not in words(page)
    assert [row[0] for row in table(page, 'id="categories-title"')] == ["group 0", "group 1"]


def test_the_curve_is_drawn_where_there_is_one(client: Client, report: Evaluation) -> None:
    page = client.get(url(report)).content.decode()
    _, _, chart = page.partition('<figure class="det">')
    assert chart.count("<circle") == len(report.extras["verification"]["points"]) == 3
    assert 'style="' not in chart.partition("</figure>")[0]  # our policy forbids it
    for point in report.extras["verification"]["points"]:
        told = f"FMR {100 * point['false_match_rate']:.2f} %: FNMR {100 * point['fnmr']:.1f} %."
        assert told in chart.partition(">")[0]  # the name of the picture


def test_the_use_of_the_embedding_is_told(client: Client, report: Evaluation) -> None:
    page = words(client.get(url(report)).content.decode())
    assert f"PCF@0.9 {100 * report.extras['pcf']['figures']['pcf@0.9']:.1f} %" in page
    assert "Dimensions 8 Embeddings 30" in page


def test_a_report_of_before_has_no_extras(client: Client, report: Evaluation) -> None:
    Evaluation.objects.update(extras={})
    page = client.get(url(report))
    assert page.status_code == 200
    text = words(page.content.decode())
    assert f"{100 * report.overall['cmc@1']:.1f} %" in text
    assert not [word for word in ("95 %", "interval", "by one threshold", "PCF") if word in text]
    assert 'class="det"' not in page.content.decode()


@pytest.mark.parametrize(
    ("genuine", "impostor", "told"),
    [
        (12, 0, "there is no pair of two labels among 12."),
        (0, 12, "there is no pair of one label among 12."),
        (0, 0, "there are no pairs of a query with a gallery sample."),
    ],
)
def test_without_pairs_of_both_kinds_there_is_no_threshold(
    client: Client, report: Evaluation, genuine: int, impostor: int, told: str
) -> None:
    changed(report, verification={"genuine": genuine, "impostor": impostor, "points": [], "roc": []})
    page = client.get(url(report)).content.decode()
    assert told in words(page)
    assert 'class="det"' not in page


@pytest.mark.parametrize(
    ("pairs", "genuine", "told"),
    [
        (4_900_000_000, 1, "there are 4,900,000,000, and more than 4,000,000,000 take too long."),
        (3, 25_000_000, "25,000,000 of them are of one label, and more than 20,000,000 may take too much memory."),
    ],
)
def test_what_was_left_out_is_said(client: Client, report: Evaluation, pairs: int, genuine: int, told: str) -> None:
    del report.extras["verification"]
    left_out = {"pairs": pairs, "genuine": genuine, "most_pairs": 4_000_000_000, "most_genuine": 20_000_000}
    changed(report, verification_left_out=left_out)
    text = words(client.get(url(report)).content.decode())
    assert told in text
    assert "Wanted FMR" not in text


@pytest.mark.parametrize("value", [1.0, 1 / 3])  # draws of thirds differ by their rounding
def test_queries_that_are_all_alike_have_no_interval(client: Client, report: Evaluation, value: float) -> None:
    how = report.extras["intervals"]
    (ends,) = ratio_intervals(np.full((30, 1), value), np.ones(30), None, Bootstrap())
    changed(report, intervals=how | {"figures": dict.fromkeys(how["figures"], ends)})
    page = client.get(url(report)).content.decode()
    assert "no interval" in page
    assert "Every query gave the same" in page
    assert " % to " not in words(page)
    Evaluation.objects.update(counts={"queries": 1, "gallery": 30, "queries_without_match": 0})
    assert "One query alone" in client.get(url(report)).content.decode()


def test_a_threshold_that_lets_all_pass(client: Client, report: Evaluation) -> None:
    point = {"wanted_fmr": 1.0, "threshold": None, "false_match_rate": 1.0, "fnmr": 0.0}
    changed(report, verification=report.extras["verification"] | {"points": [point]})
    assert "100.0 % any 0.0 % 100.00 % any" in words(client.get(url(report)).content.decode())


def test_nothing_to_measure_says_so(client: Client, report: Evaluation) -> None:
    Evaluation.objects.update(
        overall={},
        categories=[],
        counts={"queries": 2, "gallery": 2, "queries_without_match": 2},
        extras=report.extras | {"intervals": report.extras["intervals"] | {"figures": {}}},
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


def test_a_list_does_not_read_what_reports_hold_beyond_it(client: Client, report: Evaluation) -> None:
    """The ROC curve alone is 10 KB a report."""
    with CaptureQueriesContext(connection) as captured:
        assert report.run.name in client.get(reverse("reports:list")).content.decode()
    asked = [query["sql"] for query in captured if "reports_evaluation" in query["sql"]]
    assert asked
    assert not [sql for sql in asked if "extras" in sql]


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
