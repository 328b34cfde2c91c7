"""Writers beside each other, each on a connection of its own: `Sample.category` stays what its label's is."""

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest
from django.core.files.base import ContentFile
from django.db import transaction

from apps.accounts.models import User
from apps.core.errors import Conflict
from apps.datasets.importing.plan import Row
from apps.datasets.models import Dataset, Import, Label, Sample
from apps.datasets.photos import photo_facts, photo_store
from apps.datasets.services import import_create, label_edit, sample_edit, samples_update
from apps.datasets.services.imports import Taken, import_chunk_add
from apps.jobs.models import Job
from apps.jobs.runner import run_inline
from tests.apps.datasets.conftest import HEADER, photo, table_zip
from tests.beside import beside, own_connection

pytestmark = pytest.mark.django_db(transaction=True)
LABELS = ("mug 0", "mug 1", "cup 2", "cup 3")


def ids_of(label: str) -> list[int]:
    return list(Sample.objects.filter(label__name=label).order_by("pk").values_list("pk", flat=True))


def strays() -> list[tuple[str, str | None, str | None]]:
    """The samples whose category is not their label's."""
    rows = Sample.objects.filter(label__isnull=False).values_list("path", "category__name", "label__category__name")
    return [row for row in rows if row[1] != row[2]]


def category_edit(name: str, category: str, user: User) -> Label:
    label = Label.objects.get(name=name)
    return label_edit(label=label, version=label.version, user=user, category=category)


def chunk(*rows: tuple[int, str, str]) -> list[Taken]:
    """A chunk of an import, its photos stored as the import does: (number, label, category) each."""
    taken = []
    for number, label, category in rows:
        data = photo(number)
        facts = photo_facts(data)
        photo_store(data, facts.sha256)
        row = Row(number, f"{number}.jpg", f"{number}.jpg", label=label, category=category, split="train")
        taken.append(Taken(row, facts))
    return taken


def test_a_bulk_edit_beside_an_edit_of_its_label(filled: Dataset, user: User) -> None:
    cups = ids_of("cup 2")
    with transaction.atomic():
        category_edit("mug 0", "vessels", user)
        edit = beside(lambda: samples_update(dataset=filled, user=user, sample_ids=cups, label="mug 0"))
        assert not edit.done()
    assert edit.result(timeout=10) == 2
    assert strays() == []


def test_an_edit_of_a_label_beside_a_bulk_edit(filled: Dataset, user: User) -> None:
    cups = ids_of("cup 2")
    with transaction.atomic():
        samples_update(dataset=filled, user=user, sample_ids=cups, label="mug 0")
        edit = beside(lambda: category_edit("mug 0", "vessels", user))
    edit.result(timeout=10)
    assert strays() == []
    assert set(Sample.objects.filter(pk__in=cups).values_list("category__name", flat=True)) == {"vessels"}


def test_one_sample_is_edited_beside_an_edit_of_its_label(filled: Dataset, user: User) -> None:
    sample = Sample.objects.get(pk=ids_of("cup 2")[0])
    with transaction.atomic():
        category_edit("mug 0", "vessels", user)
        edit = beside(lambda: sample_edit(sample=sample, user=user, version=sample.version, label="mug 0"))
    assert edit.result(timeout=10).category.name == "vessels"
    assert strays() == []


def test_an_import_beside_an_edit_of_its_label(filled: Dataset, user: User) -> None:
    rows = ["mug 0,img/8.jpg,train,,,mugs"]
    data = table_zip(rows, header=f"{HEADER},category", **{"img/8.jpg": photo(99)})
    made = import_create(dataset=filled, file=ContentFile(data), file_name="more.zip", user=user)
    job = made.job
    assert job is not None
    with transaction.atomic():
        category_edit("mug 0", "vessels", user)
        run = beside(lambda: run_inline(job))
    assert run.result(timeout=30).state == Job.State.SUCCEEDED, run.result().error
    assert len(ids_of("mug 0")) == 3
    assert strays() == []


def test_an_edit_of_a_label_beside_an_import(filled: Dataset, user: User) -> None:
    made = Import.objects.latest("pk")
    with transaction.atomic():
        import_chunk_add(dataset_import=made, taken=chunk((900, "mug 0", "mugs")))
        edit = beside(lambda: category_edit("mug 0", "vessels", user))
    edit.result(timeout=10)
    assert len(ids_of("mug 0")) == 3
    assert strays() == []


def test_nobody_waits_in_a_circle(filled: Dataset, user: User) -> None:
    """Everybody at once, on the same few labels and samples: nothing is lost to a deadlock, and nothing strays."""
    made = Import.objects.latest("pk")
    everything = list(Sample.objects.values_list("pk", flat=True))
    rounds = 40

    def bulk_edits(seed: int) -> None:
        rng = random.Random(seed)  # noqa: S311
        for _ in range(rounds):
            label = rng.choice([*LABELS, "new name", f"made {rng.randrange(10)}"])
            samples_update(dataset=filled, user=user, sample_ids=rng.sample(everything, 4), label=label)

    def label_edits(seed: int) -> None:
        rng = random.Random(seed)  # noqa: S311
        for _ in range(rounds):
            label = rng.choice(list(Label.objects.filter(dataset=filled)))
            name = rng.choice([None, None, "new name", *LABELS])
            category = rng.choice(["", "mugs", "cups", f"group {rng.randrange(10)}"])
            with suppress(Conflict):  # the name is taken, or somebody was faster
                label_edit(label=label, version=label.version, user=user, name=name, category=category)

    def imports() -> None:
        rng = random.Random(5)  # noqa: S311
        for number in range(rounds):
            names = [rng.choice([*LABELS, "new name", f"made {rng.randrange(10)}"]) for _ in range(3)]
            rows = [(1000 + 3 * number + i, name, rng.choice(["", "cups"])) for i, name in enumerate(names)]
            with transaction.atomic():
                import_chunk_add(dataset_import=made, taken=chunk(*rows))

    works = [imports, *(partial(work, seed) for seed in (1, 2) for work in (bulk_edits, label_edits))]
    with ThreadPoolExecutor(len(works)) as pool:
        for future in [pool.submit(own_connection, work) for work in works]:
            future.result(timeout=120)
    assert Sample.objects.count() == 8 + 3 * rounds
    assert strays() == []
