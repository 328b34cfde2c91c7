"""What comes in, what is refused, and that nothing is ever half done."""

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.base import ContentFile, File
from django.db.models import Count

from apps.accounts.models import User
from apps.core.errors import BadInput, DiskFull
from apps.core.storage import DurableStorage
from apps.datasets import tasks
from apps.datasets.models import Category, Dataset, Image, Import, ImportFile, Label, Sample
from apps.datasets.photos import image_key, photo_store
from apps.datasets.services import dataset_create, import_create
from apps.datasets.sources import StorageSource
from apps.jobs.models import Job
from apps.jobs.runner import run_inline
from tests.apps.datasets.conftest import GOOD_ROWS, HEADER, make_zip, photo, table_zip

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
BringIn = Callable[..., tuple[Import, Job]]


def files_in_storage(folder: str = "") -> list[str]:
    root = Path(settings.MEDIA_ROOT) / folder
    return sorted(str(path.relative_to(settings.MEDIA_ROOT)) for path in root.rglob("*") if path.is_file())


def fates(made: Import) -> dict[str, str]:
    return dict(made.files.values_list("path", "outcome"))


def test_a_table_brings_in_labels_categories_splits_flags(dataset: Dataset, bring_in: BringIn) -> None:
    rows = [*(f"{row},{row[:3]},burst" for row in GOOD_ROWS)]
    made, job = bring_in(table_zip(rows, header=f"{HEADER},category,sequence"))
    assert (job.state, job.result) == ("succeeded", {"added": 8, "duplicate": 0, "refused": 0})
    assert made.counts == job.result
    sample = Sample.objects.select_related("label", "category", "image").get(path="img/4.jpg")
    assert str(sample.label) == "cup 2"
    assert sample.category == sample.label.category
    assert str(sample.category) == "cup"
    assert (sample.split, sample.is_query, sample.is_gallery, sample.sequence) == ("validation", True, True, "burst")
    assert (sample.image.format, sample.image.width, sample.image.height) == ("JPEG", 24, 16)
    assert StorageSource()(sample.image.key) == photo(4)
    assert Category.objects.filter(dataset=dataset).count() == 2
    assert files_in_storage("uploads") == []  # no longer needed


def test_a_folder_per_label_within_categories(dataset: Dataset, bring_in: BringIn) -> None:
    places = [(kind, i, j) for kind in "ab" for i in range(4) for j in range(2)]
    files = {f"set/{kind}/{kind}{i}/{j}.png": photo(n, kind="PNG") for n, (kind, i, j) in enumerate(places)}
    noise = {"__MACOSX/set/a/._1.png": b"x", "set/.DS_Store": b"x", "set/LICENSE.txt": "MIT", "set/a/Thumbs.db": b"x"}
    _, job = bring_in(make_zip({**files, **noise}))
    assert job.result == {"added": 16, "duplicate": 0, "refused": 0}, job.error
    assert set(Label.objects.values_list("name", "category__name")) == {(f"{k}{i}", k) for k in "ab" for i in range(4)}
    splits = dict(Sample.objects.values_list("split").annotate(Count("label", distinct=True)).order_by())
    assert splits == {"train": 6, "validation": 2}  # a third of the labels, rounded down
    assert not Sample.objects.filter(split="validation", is_query=False).exists()


def test_photos_in_no_folder_come_in_without_a_label(dataset: Dataset, bring_in: BringIn) -> None:
    _, job = bring_in(make_zip({"1.jpg": photo(1), "2.jpg": photo(2)}))
    assert job.result["added"] == 2
    assert Sample.objects.filter(label=None, split="").count() == 2


def test_new_photos_of_a_label_join_its_split(dataset: Dataset, bring_in: BringIn) -> None:
    bring_in(make_zip({f"{i}/{j}.jpg": photo(10 * i + j) for i in range(8) for j in range(2)}))
    held_out = Sample.objects.filter(split="validation").select_related("label")[0].label
    _, job = bring_in(make_zip({f"{held_out}/new.jpg": photo(999), f"{held_out}/newer.jpg": photo(998)}))
    assert job.result["added"] == 2
    assert set(Sample.objects.filter(label=held_out).values_list("split", "is_query")) == {("validation", True)}


def test_the_same_photo_again_is_a_duplicate_that_names_the_first(dataset: Dataset, bring_in: BringIn) -> None:
    first = make_zip({"mug/1.jpg": photo(1), "mug/2.jpg": photo(2)})
    bring_in(first)
    made, job = bring_in(make_zip({"mug/1.jpg": photo(1), "cup/copy.jpg": photo(2), "mug/3.jpg": photo(3), "mug/4.jpg": photo(3)}))  # fmt: skip  # noqa: E501
    assert job.result == {"added": 1, "duplicate": 3, "refused": 0}
    entry = made.files.get(path="cup/copy.jpg")
    assert "mug/2.jpg" in entry.message
    assert "label mug" in entry.message
    assert entry.sample == Sample.objects.get(path="mug/2.jpg")
    assert made.files.get(path="mug/4.jpg").message.endswith("as mug/3.jpg.")
    assert Sample.objects.count() == 3
    assert not Label.objects.filter(name="cup").exclude(samples=None).exists()


def test_two_datasets_share_the_bytes(dataset: Dataset, user: User, bring_in: BringIn) -> None:
    data = make_zip({"mug/1.jpg": photo(1)})
    bring_in(data)
    _, job = bring_in(data, into=dataset_create(name="Other", user=user))
    assert job.result["added"] == 1
    assert (Image.objects.count(), Sample.objects.count()) == (1, 2)


def test_boxes_of_one_photo_are_samples(dataset: Dataset, bring_in: BringIn) -> None:
    rows = ["a,img/0.jpg,train,,,0,0,10,10", "b,img/0.jpg,train,,,10,0,24,16", "a,img/1.jpg,train,,,,,,"]
    _, job = bring_in(table_zip(rows, header=f"{HEADER},x_1,y_1,x_2,y_2"))
    assert job.result == {"added": 3, "duplicate": 0, "refused": 0}, job.error
    assert [sample.box for sample in Sample.objects.order_by("pk")] == [(0, 0, 10, 10), (10, 0, 24, 16), None]
    assert Image.objects.count() == 2


def test_every_error_of_a_table_is_listed_and_nothing_comes_in(dataset: Dataset, bring_in: BringIn) -> None:
    rows = [
        "mug,img/0.jpg,train,,,,,,",
        "mug,img/gone.jpg,train,,,,,,",  # row 3
        "mug,img/1.jpg,test,,,,,,",  # row 4
        "mug,img/0.jpg,train,,,,,,",  # row 5: again
        "mug,img/2.jpg,train,,,-1,0,5,5",  # row 6
        "mug,img/3.jpg,train,,,0,0,999,5",  # row 7
        ",img/4.jpg,train,,,,,,",  # row 8
        "mug,../../etc/passwd,train,,,,,,",  # row 9
        "mug,img/5.jpg,train,True,,,,,",  # row 10
    ]
    made, job = bring_in(table_zip(rows, header=f"{HEADER},x_1,y_1,x_2,y_2"))
    assert job.state == "failed"
    assert "nothing was imported" in job.error
    errors = {problem["row"] for problem in made.problems if problem["severity"] == "error"}
    assert errors == {3, 4, 5, 6, 7, 8, 9, 10}
    assert all(problem["message"] and problem["remedy"] for problem in made.problems)
    assert (Sample.objects.count(), Label.objects.count(), ImportFile.objects.count()) == (0, 0, 0)
    assert files_in_storage() == []


def test_a_category_that_differs_from_the_labels_own_is_an_error(filled: Dataset, bring_in: BringIn) -> None:
    made, job = bring_in(table_zip(["mug 0,img/8.jpg,train,,,cups"], header=f"{HEADER},category"))
    assert job.state == "failed"
    (problem,) = [problem for problem in made.problems if problem["severity"] == "error"]
    assert (problem["row"], problem["column"]) == (2, "category")
    assert "mugs" in problem["message"]


def test_a_label_without_a_category_gets_the_tables(dataset: Dataset, bring_in: BringIn) -> None:
    bring_in(table_zip(["mug,img/0.jpg,train,,"]))
    bring_in(table_zip(["mug,img/1.jpg,train,,,kitchen"], header=f"{HEADER},category"))
    assert set(Sample.objects.values_list("category__name", flat=True)) == {"kitchen"}
    assert Label.objects.get().version == 2


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "empty"),
        (HEADER + "\n", "no rows"),
        ("label;split\nmug;train\n", "path is missing"),
        ("\0\0\0\1", "no text"),
    ],
)
def test_a_table_that_is_none(dataset: Dataset, bring_in: BringIn, table: str, words: str) -> None:
    made, job = bring_in(make_zip({"1.jpg": photo(), "df.csv": table}))
    assert job.state == "failed"
    assert any(words in problem["message"] for problem in made.problems), made.problems
    assert Sample.objects.count() == 0


def test_damaged_photos_are_refused_by_name_and_the_others_kept(dataset: Dataset, bring_in: BringIn) -> None:
    files = {
        "mug/good.jpg": photo(1),
        "mug/cut.jpg": photo(2, size=(200, 200))[:4000],
        "mug/text.jpg": b"this is no photo",
        "mug/drawing.svg": b"<svg onload=alert(1)>",
        "mug/empty.png": b"",
        "notes.txt": b"not asked for",
    }
    made, job = bring_in(make_zip(files))
    assert job.result == {"added": 1, "duplicate": 0, "refused": 4}, job.error
    assert fates(made)["mug/cut.jpg"] == fates(made)["mug/text.jpg"] == "refused"
    assert all(entry.message for entry in made.files.filter(outcome="refused"))
    assert len(files_in_storage("images")) == 1


def test_a_truncated_photo_of_a_table_is_refused_alone(dataset: Dataset, bring_in: BringIn) -> None:
    rows = [*GOOD_ROWS, "mug 9,img/cut.jpg,train,,"]
    made, job = bring_in(table_zip(rows, **{"img/cut.jpg": photo(2, size=(200, 200))[:4000]}))
    assert job.result == {"added": 8, "duplicate": 0, "refused": 1}
    assert fates(made)["img/cut.jpg"] == "refused"
    assert not Label.objects.filter(name="mug 9").exists()


def test_the_path_may_be_written_in_many_ways(dataset: Dataset, bring_in: BringIn) -> None:
    files: dict[str, bytes | str] = {"top/img/é.jpg": photo(1), "top/img/b.jpg": photo(2), "top/img/c.jpg": photo(3)}
    files["top/table.txt"] = f"{HEADER}\na,img\\b.jpg,train,,\na,./img/e\u0301.jpg,train,,\na,top/img/c.jpg,train,,\n"
    files["top/README.txt"] = "Read me."
    _, job = bring_in(make_zip(files))
    assert job.result == {"added": 3, "duplicate": 0, "refused": 0}, job.error


def test_two_tables_are_one_too_many(dataset: Dataset, bring_in: BringIn) -> None:
    _, job = bring_in(make_zip({"a.csv": HEADER, "b.csv": HEADER, "1.jpg": photo()}))
    assert "2 tables" in job.error


class Killed(BaseException):
    """Stands for the end of the process."""


def test_an_import_that_dies_in_the_middle_goes_on_and_doubles_nothing(
    dataset: Dataset, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at several moments: before a chunk's transaction, inside it, and after the last one."""
    monkeypatch.setattr(tasks, "CHUNK", 5)
    data = make_zip({f"{i % 7}/{i}.jpg": photo(i) for i in range(33)} | {"0/bad.jpg": b"no"})
    made = import_create(dataset=dataset, file=ContentFile(data), file_name="mugs.zip", user=user)
    assert made.job is not None
    real = tasks.import_chunk_add
    for deadly, inside in ((2, False), (2, True), (3, True)):
        calls = 0

        def chunk_add(**values: Any) -> dict[str, int]:
            nonlocal calls
            calls += 1
            if calls == deadly and not inside:  # noqa: B023
                raise Killed
            counts = real(**values)
            if calls == deadly:  # noqa: B023
                raise Killed
            return counts

        monkeypatch.setattr(tasks, "import_chunk_add", chunk_add)
        with pytest.raises(Killed):
            run_inline(made.job)
        monkeypatch.setattr(tasks, "import_chunk_add", real)
        assert Sample.objects.count() == ImportFile.objects.filter(outcome="added").count() < 33
        assert files_in_storage("uploads") != []
        Job.objects.filter(pk=made.job.pk).update(state="queued")
    job = run_inline(made.job)
    assert job.result == {"added": 33, "duplicate": 0, "refused": 1}
    assert (Sample.objects.count(), made.files.count()) == (33, 34)
    assert sorted(made.files.values_list("position", flat=True)) == list(range(34))
    # The end was written, but not that the job has succeeded: once more gives the same answer.
    Job.objects.filter(pk=job.pk).update(state="queued")
    assert run_inline(job).result == job.result


def test_boxes_of_one_photo_store_it_once_whoever_comes_first(dataset: Dataset, bring_in: BringIn) -> None:
    """Neighbouring rows are read by several threads, which all want to write the same file."""
    sha256 = hashlib.sha256(data := photo(1) * 40).hexdigest()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: photo_store(data, sha256), range(200)))
    assert StorageSource()(image_key(sha256)) == data
    assert len(files_in_storage("images")) == 1


def fill_disk(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """Every file written below `folder` stops after a few bytes, as on a full disk."""
    real = DurableStorage._save

    class Cut(ContentFile[bytes]):
        def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
            yield self.read(7)
            raise OSError(errno.ENOSPC, "No space left on device")

    def save(self: DurableStorage, name: str, content: File[bytes]) -> str:
        return real(self, name, Cut(content.read()) if name.startswith(folder) else content)

    monkeypatch.setattr(DurableStorage, "_save", save)


def test_a_full_disk_leaves_no_row_and_no_file(dataset: Dataset, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(monkeypatch, "uploads/")
    with pytest.raises(DiskFull, match="no space left"):
        import_create(dataset=dataset, file=ContentFile(make_zip({"a/1.jpg": photo()})), file_name="a.zip", user=user)
    assert (Import.objects.count(), Job.objects.count(), files_in_storage()) == (0, 0, [])


def test_a_disk_that_fills_during_the_import_says_so(bring_in: BringIn, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(monkeypatch, "images/")
    made, job = bring_in(make_zip({"a/1.jpg": photo()}))
    assert job.state == "failed"
    assert "no space left" in job.error
    assert "no space left" in made.problems[0]["message"]
    assert (Sample.objects.count(), files_in_storage()) == (0, [])


def test_what_is_no_zip_is_refused_at_once(dataset: Dataset, user: User) -> None:
    with pytest.raises(BadInput, match="is not a zip"):
        import_create(dataset=dataset, file=ContentFile(b"Rar!..."), file_name="a.rar", user=user)
    assert (Import.objects.count(), files_in_storage()) == (0, [])


def test_a_cancelled_import_keeps_what_is_in_and_drops_the_upload(
    dataset: Dataset, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "CHUNK", 3)
    data = make_zip({f"{i % 3}/{i}.jpg": photo(i) for i in range(9)})
    made = import_create(dataset=dataset, file=ContentFile(data), file_name="mugs.zip", user=user)
    assert made.job is not None
    real = tasks.import_chunk_add

    def chunk_add(**values: Any) -> dict[str, int]:
        Job.objects.filter(pk=made.job_id).update(cancel_requested=True)
        time.sleep(0.6)  # past the pause between two looks at the row
        return real(**values)

    monkeypatch.setattr(tasks, "import_chunk_add", chunk_add)
    job = run_inline(made.job)
    made.refresh_from_db()
    assert job.state == "cancelled"
    assert Sample.objects.count() == made.files.count() == made.counts["added"] == 3
    assert files_in_storage("uploads") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [("grocery.zip", (2936, 81, 43)), ("omniglot_small1.zip", (2720, 136, 5))],
)
def test_real_photos(
    dataset: Dataset, user: User, capsys: pytest.CaptureFixture[str], name: str, expected: tuple[int, int, int]
) -> None:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    with path.open("rb") as file:
        made = import_create(dataset=dataset, file=File(file), file_name=name, user=user)
    assert made.job is not None
    began, busy = time.perf_counter(), time.process_time()
    job = run_inline(made.job)
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    samples = expected[0]
    assert job.result == {"added": samples, "duplicate": 0, "refused": 0}, job.error
    assert (Sample.objects.count(), Label.objects.count(), Category.objects.count()) == expected
    with capsys.disabled():
        rate, cost, load = samples / seconds, busy / samples * 1e3, os.getloadavg()[0]
        print(f"\n{name}: {rate:.0f} images/s ({cost:.2f} ms of CPU each; load {load:.1f})")
    shutil.rmtree(settings.MEDIA_ROOT)
