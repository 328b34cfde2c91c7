"""Getting rid of photos that no sample names, beside imports that are about to use them."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction

from apps.accounts.models import User
from apps.core.files import files_under
from apps.datasets.importing.plan import Row
from apps.datasets.models import Dataset, Image, Import, Sample
from apps.datasets.photos import THUMB_SIZES, photo_facts, photo_store, thumb_key, thumb_read
from apps.datasets.services import dataset_create, dataset_delete, import_create
from apps.datasets.services.imports import Taken, import_chunk_add
from apps.datasets.services.photos import PREFIXES, PhotosGone, photos_sweep
from apps.datasets.sources import StorageSource
from apps.jobs.models import Job
from apps.jobs.runner import run_inline
from tests.apps.datasets.conftest import HEADER, make_zip, photo, table_zip
from tests.beside import beside, own_connection

BringIn = Callable[..., tuple[Import, Job]]


def sweep() -> int:
    return sum(photos_sweep(prefix=prefix) for prefix in PREFIXES)


def stored(*folders: str) -> set[str]:
    return {key for folder in folders for key in files_under(folder)}


def prefix_of(sha256: str) -> str:
    return sha256[:2]


def taken(data: bytes) -> Taken:
    facts = photo_facts(data)
    return Taken(Row(900, "new.jpg", "new.jpg", label="mug 0", split="train"), facts)


def test_what_samples_name_stays(filled: Dataset) -> None:
    for sample in Sample.objects.select_related("image"):
        thumb_read(sample, 160)
    before = stored("images", "thumbs")
    assert len(before) == 16
    assert sweep() == 0
    assert stored("images", "thumbs") == before
    assert Image.objects.count() == 8


def test_photos_of_a_deleted_dataset_go_unless_another_one_has_them(
    filled: Dataset, user: User, bring_in: BringIn
) -> None:
    other = dataset_create(name="Other", user=user)
    bring_in(make_zip({"mug/1.jpg": photo(0)}), into=other)
    kept = other.samples.get()
    for sample in Sample.objects.select_related("image"):
        for size in THUMB_SIZES:
            thumb_read(sample, size)
    dataset_delete(dataset=filled)
    assert sweep() == 7 * (1 + len(THUMB_SIZES))
    assert stored("images") == {kept.image.key}
    assert stored("thumbs") == {thumb_key(kept, size) for size in THUMB_SIZES}
    assert list(Image.objects.all()) == [kept.image]


def test_the_thumbnail_of_a_box_that_is_gone_goes_alone(dataset: Dataset, bring_in: BringIn) -> None:
    rows = ["a,img/0.jpg,train,,,1,2,9,10", "b,img/0.jpg,train,,,10,2,20,12"]
    bring_in(table_zip(rows, header=f"{HEADER},x_1,y_1,x_2,y_2"))
    first, second = Sample.objects.order_by("pk").select_related("image")
    for sample in (first, second):
        thumb_read(sample, 160)
    key = first.image.key
    first.delete()
    assert sweep() == 1
    assert stored("images", "thumbs") == {key, thumb_key(second, 160)}


def test_a_file_that_nobody_finished_goes_once_it_is_old(filled: Dataset) -> None:
    young, old = "images/00/.young.partial", "images/00/.old.partial"
    for key in (young, old):
        default_storage.save(key, ContentFile(b"half a pho"))
    then = time.time() - 25 * 3600
    os.utime(default_storage.path(old), (then, then))
    default_storage.save(f"images/00/00{'0' * 62}", ContentFile(b"stored, and never written down"))
    assert photos_sweep(prefix="00") == 2
    assert young in stored("images")
    assert old not in stored("images")


@pytest.mark.django_db(transaction=True)
def test_a_sweep_waits_for_an_import_that_is_writing(filled: Dataset) -> None:
    data = photo(99)
    new = taken(data)
    assert new.facts is not None
    photo_store(data, new.facts.sha256)
    with transaction.atomic():
        import_chunk_add(dataset_import=Import.objects.get(), taken=[new])
        swept = beside(lambda: photos_sweep(prefix=prefix_of(new.facts.sha256)))  # type: ignore[union-attr]
        assert not swept.done()
    assert swept.result(timeout=10) == 0
    sample = Sample.objects.get(path="new.jpg")
    assert StorageSource()(sample.image.key) == data


def test_a_chunk_whose_photo_was_swept_writes_nothing(filled: Dataset) -> None:
    data = photo(99)
    new = taken(data)
    assert new.facts is not None
    photo_store(data, new.facts.sha256)
    assert photos_sweep(prefix=prefix_of(new.facts.sha256)) == 1
    with pytest.raises(PhotosGone, match=new.facts.sha256[:12]), transaction.atomic():
        import_chunk_add(dataset_import=Import.objects.get(), taken=[new])
    assert Sample.objects.count() == 8
    assert Image.objects.count() == 8


@pytest.mark.parametrize("known", [False, True], ids=["new", "left by a deleted dataset"])
@pytest.mark.django_db(transaction=True)
def test_an_import_whose_photo_is_swept_under_its_hands_has_it_all_the_same(
    dataset: Dataset, user: User, bring_in: BringIn, known: bool
) -> None:
    data = photo(99)
    facts = photo_facts(data)
    if known:  # the import finds file and row there, and stores nothing
        other = dataset_create(name="Other", user=user)
        bring_in(make_zip({"mug/1.jpg": data}), into=other)
        dataset_delete(dataset=other)
    made = import_create(dataset=dataset, file=ContentFile(make_zip({"a/1.jpg": data})), file_name="a.zip", user=user)
    job = made.job
    assert job is not None
    elsewhere = next(prefix for prefix in PREFIXES if prefix != prefix_of(facts.sha256))
    with transaction.atomic():
        photos_sweep(prefix=elsewhere)  # keeps the import from writing while its photo goes
        run = beside(lambda: run_inline(job))
        assert not run.done()
        assert photos_sweep(prefix=prefix_of(facts.sha256)) == 1
    ended = run.result(timeout=30)
    assert ended.state == Job.State.SUCCEEDED, ended.error
    assert ended.result["added"] == 1
    assert StorageSource()(dataset.samples.get().image.key) == data


@pytest.mark.django_db(transaction=True)
def test_an_import_beside_sweeps_that_never_end(dataset: Dataset, user: User, bring_in: BringIn) -> None:
    files = {f"l{number % 20}/{number}.jpg": photo(number) for number in range(600)}
    is_over: list[bool] = []

    def sweeps() -> int:
        count = 0
        while not is_over:
            count += sweep()
        return count

    pool = ThreadPoolExecutor(1)
    sweeping = pool.submit(own_connection, sweeps)
    _, job = bring_in(make_zip(files))
    is_over.append(True)
    pool.shutdown()
    assert sweeping.result(timeout=30) > 0  # it did meet photos that were not written down yet
    assert job.state == Job.State.SUCCEEDED, job.error
    assert job.result["added"] == 600
    sweep()
    assert {sample.image.key for sample in Sample.objects.select_related("image")} == stored("images")
    assert len(stored("images")) == 600
