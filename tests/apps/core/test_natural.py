"""Natural order: numbers by value, letters without regard to case, and a total order to page by."""

import pytest
from django.db import connection
from django.db.models import CharField, Value
from django.test.utils import CaptureQueriesContext

from apps.core.natural import Natural
from apps.datasets.models import Dataset, Label
from apps.datasets.selectors import labels as selectors

IN_ORDER = ["2 b", "10 a", "apple", "Apple 2", "apple 09", "apple 10", "banana", "item-2-10", "item-10-2", "Zebra"]
GTINS = ["4006381333931", "9001234567890", "10061414000415"]


@pytest.mark.django_db
def test_numbers_count_as_numbers() -> None:
    dataset = Dataset.objects.create(name="Things")
    Label.objects.bulk_create(Label(dataset=dataset, name=name) for name in reversed(IN_ORDER))
    assert [label.name for label in selectors.labels_list(dataset=dataset)] == IN_ORDER


@pytest.mark.django_db
def test_article_numbers_count_whole() -> None:
    dataset = Dataset.objects.create(name="Things")
    Label.objects.bulk_create(Label(dataset=dataset, name=name) for name in reversed(GTINS))
    assert [label.name for label in selectors.labels_list(dataset=dataset)] == GTINS


@pytest.mark.django_db
def test_pages_of_labels_miss_none_and_repeat_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selectors, "PAGE_SIZE", 3)
    dataset = Dataset.objects.create(name="Things")
    names = ["1", "01", "001", "A", "a", "10", "9", "x1", "x01", "x10", "9" * 40, "8" + "9" * 39]
    Label.objects.bulk_create(Label(dataset=dataset, name=name) for name in names)
    seen, after = [], ""
    for _ in range(len(names)):
        page = selectors.labels_page(dataset=dataset, after=after)
        seen += [row.label.name for row in page.rows]
        after = page.after
        if not after:
            break
    assert sorted(seen) == sorted(names)
    assert seen == [label.name for label in selectors.labels_list(dataset=dataset)]


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["1a" * 100, "9" * 200, "1ü" * 100, "1\N{GRINNING FACE}" * 100])
def test_the_longest_names_fit_the_index(name: str) -> None:
    dataset = Dataset.objects.create(name="Things")
    Label.objects.create(dataset=dataset, name=name)
    key = Natural(Value(name, CharField()))
    assert Label.objects.alias(key=Natural("name")).filter(key=key).count() == 1


@pytest.mark.django_db
def test_a_page_is_sought_in_the_index() -> None:
    dataset = Dataset.objects.create(name="Things")
    Label.objects.bulk_create(Label(dataset=dataset, name=f"item {number}") for number in range(5000))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE datasets_label")
    with CaptureQueriesContext(connection) as captured:
        selectors.labels_page(dataset=dataset, after="item 4900")
    page = next(query["sql"] for query in captured if "LIMIT" in query["sql"] and "regexp_replace" in query["sql"])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {page}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    sought = next(line for line in plan.splitlines() if "Index Cond" in line and "dataset_id" in line)
    assert "regexp_replace" in sought, plan
