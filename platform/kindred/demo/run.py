"""The main job, end to end, through the real queue: import, snapshot, train, evaluate, publish, index, one search.

Run by `manage.py serve --demo` while the site's processes are up. A second time it trains again on the dataset as it is
now, corrections included: nothing that people did is undone. The run is then "Demo run 2", and so on; a version that an
earlier demo run made of the very same snapshot and recipe is retired once the new one serves, unless an alias names it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage

from apps.accounts.models import User
from apps.core.metrics import query_counts
from apps.datasets.models import Dataset, Sample
from apps.datasets.services import dataset_create, import_create, snapshot_create
from apps.jobs.models import Job
from apps.reports.models import Evaluation
from apps.search import client
from apps.training.models import Run
from apps.training.services import run_create, run_publish
from apps.zoo.models import ModelVersion
from apps.zoo.services import version_retire
from kindred.demo import catalogue

NAME = "Demo: pottery"
RUN_NAME = "Demo run"
PRESET = "demo"
JOB_TIMEOUT_SECONDS = 600
LEAST_GAIN = 0.1  # of CMC@1 over the untrained network


class StageFailed(Exception):  # noqa: N818
    """A stage did not reach its end; the text says why."""


@dataclass
class Table:
    """The stages as they finish, and the small table of them."""

    write: Callable[[str], None]
    rows: list[tuple[str, float, str]] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[list[str]]:
        """Times a stage; the body appends its figure to the list it is given."""
        figure: list[str] = []
        started = time.monotonic()
        self.write(f"  {name} ...")
        yield figure
        self.rows.append((name, time.monotonic() - started, " ".join(figure)))

    def print(self) -> None:
        self.write(f"\n  {'stage':<10} {'seconds':>8}  figure")
        for name, seconds, figure in self.rows:
            self.write(f"  {name:<10} {seconds:>8.1f}  {figure}")
        self.write(f"  {'total':<10} {sum(row[1] for row in self.rows):>8.1f}\n")


def wait_for(job: Job, stopping: Event) -> Job:
    """Waits until a job is final. Raises StageFailed when it did not succeed, with its reason, or the site stops."""
    deadline = time.monotonic() + JOB_TIMEOUT_SECONDS
    while not job.is_final:
        if time.monotonic() > deadline:
            raise StageFailed(f"{job} was still {job.state} after {JOB_TIMEOUT_SECONDS} s.\n{job.log_tail}")
        if stopping.wait(0.2):
            raise StageFailed(f"{job} was still {job.state} when the site was stopped.")
        job.refresh_from_db()
    if job.state != Job.State.SUCCEEDED:
        raise StageFailed(f"{job} ended as {job.state}: {job.error}\n{job.log_tail}")
    return job


def demo_user() -> User:
    """The owner of the demo dataset: nobody can sign in as it."""
    user, created = User.objects.get_or_create(username="demo", defaults={"is_active": False})
    if created:
        user.set_unusable_password()
        user.save()
    return user


def zip_path() -> Path:
    return Path(settings.DATA_DIR) / "demo" / f"pottery-{catalogue.VERSION}.zip"


def draw_photos(stopping: Event, figure: list[str]) -> None:
    path = zip_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        figure.append("kept from the last time")
    else:
        figure.append(f"{catalogue.write_zip(path, should_stop=stopping.is_set)} samples drawn")


def import_photos(user: User, stopping: Event, figure: list[str]) -> Dataset:
    dataset = Dataset.objects.filter(is_demo=True).first()
    if dataset is None:
        dataset = dataset_create(
            name=NAME, description="Drawn on this machine, with a few mistakes planted for you to find.", user=user
        )
        Dataset.objects.filter(pk=dataset.pk).update(is_demo=True)
    with zip_path().open("rb") as file:
        batch = import_create(dataset=dataset, file=File(file), file_name="pottery.zip", user=user)
    assert batch.job is not None
    job = wait_for(batch.job, stopping)
    batch.refresh_from_db()
    counts = batch.counts
    seconds = (job.finished_at - job.started_at).total_seconds() if job.finished_at and job.started_at else 0
    total = sum(counts.values())
    figure.append(f"{counts.get('added', 0)} added, {counts.get('duplicate', 0)} already there")
    figure.append(f"({total / max(seconds, 0.1):.0f} a second)")
    return dataset


def run_name(dataset: Dataset, user: User) -> str:
    """ "Demo run", then "Demo run 2", ..."""
    earlier = Run.objects.filter(dataset=dataset, created_by=user, preset=PRESET).count()
    return RUN_NAME if earlier == 0 else f"{RUN_NAME} {earlier + 1}"


def retire_earlier(run: Run, user: User) -> int:
    """Retires what earlier demo runs published of the same content and recipe; answers how many.

    The same content is the same snapshot. What an alias names, people or programs use: it stays.
    """
    same = Run.objects.filter(dataset=run.dataset, created_by=user, snapshot=run.snapshot, recipe=run.recipe)
    versions = ModelVersion.objects.filter(
        run__in=same.exclude(pk=run.pk), state=ModelVersion.State.PUBLISHED, aliases=None
    )
    retired = [version_retire(version=version, user=user) for version in versions]
    return len(retired)


def main_job(write: Callable[[str], None], stopping: Event) -> bool:
    """Runs every stage and prints the table. Returns whether all of them succeeded.

    Once `stopping` is set it breaks off without a word: whatever fails then, fails because the site goes.
    """
    table = Table(write)
    user = demo_user()
    try:
        with table.stage("draw") as figure:
            draw_photos(stopping, figure)
        with table.stage("import") as figure:
            dataset = import_photos(user, stopping, figure)
        with table.stage("snapshot") as figure:
            snapshot = snapshot_create(dataset=dataset, user=user)
            figure.append(
                f"no. {snapshot.number}, {snapshot.counts['samples']} samples, {snapshot.counts['labels']} labels"
            )
        with table.stage("train") as figure:
            run = run_create(snapshot=snapshot, preset=PRESET, recipe=None, name=run_name(dataset, user), user=user)
            wait_for(run.job, stopping)
            run.refresh_from_db()
            figure.append(f"{run.recipe['steps']} steps")
        with table.stage("evaluate") as figure:
            wait_for(Job.objects.get(kind="evaluate", payload__run=run.pk), stopping)
            report = Evaluation.objects.get(run=run)
            if report.overall["cmc@1"] < report.untrained["cmc@1"] + LEAST_GAIN:
                raise StageFailed(f"The model has not learned: CMC@1 {report.untrained} -> {report.overall}.")
            figure.append(
                f"CMC@1 {report.overall['cmc@1']:.3f} (untrained {report.untrained['cmc@1']:.3f}), "
                f"{query_counts(report.counts).words}"
            )
        with table.stage("publish") as figure:
            version = run_publish(run=run, user=user)
            figure.append(f"{version}, space {version.space}")
        with table.stage("index") as figure:
            wait_for(Job.objects.filter(kind="index", payload__version=version.pk).latest("pk"), stopping)
            retired = retire_earlier(run, user)
            figure.append(
                f"{version.indexes.get(is_active=True).embedding_set.count} embeddings"
                + (f", {retired} earlier version{'s' if retired > 1 else ''} of the same retired" if retired else "")
            )
        with table.stage("search") as figure:
            sample = Sample.objects.filter(dataset=dataset, split="validation", x_1=None).order_by("pk")[0]
            with default_storage.open(sample.image.key) as photo:
                hits = client.search(photo.read(), version=version, k=5)
            found = Sample.objects.select_related("label").in_bulk([hit.sample_id for hit in hits])
            if not hits or hits[0].sample_id != sample.pk:
                raise StageFailed(f"Sample {sample.pk} did not find itself first.")
            names = [str(found[hit.sample_id].label) for hit in hits if hit.sample_id != sample.pk]
            figure.append(f"{sample.label}: nearest is {names[0]}")
    except Exception as error:
        if stopping.is_set():
            return False
        table.print()
        write(f"  FAILED: {error}")
        return False
    table.print()
    return True
