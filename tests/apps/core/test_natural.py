"""Natural order: numbers by value, letters without regard to case, and a total order to page by."""

import pytest
from django.db.models import CharField, Value

from apps.core.natural import Natural
from apps.datasets.models import Dataset, Label
from apps.datasets.selectors import labels as selectors

IN_ORDER = ["2 b", "10 a", "apple", "Apple 2", "apple 09", "apple 10", "banana", "item-2-10", "item-10-2", "Zebra"]


@pytest.mark.django_db
def test_numbers_count_as_numbers() -> None:
    dataset = Dataset.objects.create(name="Things")
    Label.objects.bulk_create(Label(dataset=dataset, name=name) for name in reversed(IN_ORDER))
    assert [label.name for label in selectors.labels_list(dataset=dataset)] == IN_ORDER


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
