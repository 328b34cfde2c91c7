"""The import of an upload, as a job. No torch."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import IO, Any

from django.core.files.storage import default_storage
from django.db.models import Count

from apps.core.errors import BadInput, KindredError
from apps.datasets.importing.archive import Archive
from apps.datasets.importing.plan import ImageSize, Plan, Row, plan_import
from apps.datasets.models import Import, ImportFile
from apps.datasets.photos import PhotoFacts, photo_facts, photo_store
from apps.datasets.selectors.imports import known_labels
from apps.datasets.services.imports import Taken, import_chunk_add, upload_remove
from apps.datasets.services.photos import PhotosGone, photos_hold
from apps.jobs.context import Cancelled, JobContext
from apps.jobs.models import Job
from mlcore.images import ImageProblem
from mlcore.table import MAX_LISTED, Problem

CHUNK = 250  # files per transaction: what a crash can cost, and how long the fence is held
MAX_WORKERS = 8


def import_job(context: JobContext) -> dict[str, Any]:
    """Brings the upload of an import into its dataset; the result is {"added", "duplicate", "refused"}.

    All is checked before anything is written: an error of the table stops the import whole, with every problem listed;
    a photo that cannot be read is refused by name. The ledger (ImportFile), written with the samples of its chunk, lets
    a later attempt go on where this one ended.
    """
    dataset_import = Import.objects.select_related("dataset").get(pk=context.job.payload["import"])
    if not dataset_import.upload_key:  # an attempt before this one had come to the end
        return finished(dataset_import)
    uploads_sweep(context)
    try:
        with default_storage.open(dataset_import.upload_key) as file:
            bring_in(context, dataset_import, file)
    except Cancelled:
        _end(context, dataset_import)
        raise
    except KindredError as error:
        problems = error.extra.get("problems") or [Problem(0, "", error.detail, error.remedy).as_dict()]
        dataset_import.problems = problems
        _end(context, dataset_import)
        raise
    _end(context, dataset_import)
    return finished(dataset_import)


def uploads_sweep(context: JobContext) -> None:
    """Removes what imports left that ended otherwise than here: cancelled in the queue, crashed for good."""
    left = Import.objects.exclude(upload_key="").filter(job__state__in=Job.FINAL_STATES)
    keys = list(left.values_list("upload_key", flat=True))
    for key in keys:
        upload_remove(key=key)
    with context.fenced():
        Import.objects.filter(upload_key__in=keys, job__state__in=Job.FINAL_STATES).update(upload_key="")


def finished(dataset_import: Import) -> dict[str, Any]:
    """The result of an import that came to its end. Raises BadInput when that was a list of errors."""
    errors = [problem for problem in dataset_import.problems if problem.get("severity") == "error"]
    if errors:
        raise refusal(len(errors), dataset_import.problems)
    return dict(dataset_import.counts)


def refusal(errors: int, problems: Sequence[dict[str, Any]]) -> BadInput:
    count = f"more than {MAX_LISTED:,}" if errors > MAX_LISTED else f"{errors:,}"
    return BadInput(
        f"The table has {count} error{'s' if errors > 1 else ''}; nothing was imported.",
        remedy="Mend what the import's page lists, and upload it again.",
        extra={"problems": list(problems)},
    )


def _end(context: JobContext, dataset_import: Import) -> None:
    """Writes the end of an import, whichever it was; then the upload is no longer needed."""
    os.sync()  # its photos onto the disk, before what they came from goes
    key = dataset_import.upload_key
    dataset_import.upload_key = ""
    with context.fenced():
        dataset_import.save(update_fields=["upload_key", "counts", "problems"])
    upload_remove(key=key)


def bring_in(context: JobContext, dataset_import: Import, file: IO[bytes]) -> None:
    """Plans the import, then takes its rows in by chunks; sets `counts` and `problems` of the import."""
    context.progress(0, stage="Reading the zip")
    archive = Archive(file, size_bytes=dataset_import.size_bytes)
    done = dict(
        ImportFile.objects.filter(dataset_import=dataset_import).values_list("outcome").annotate(Count("pk")).order_by()
    )
    workers = min(MAX_WORKERS, len(os.sched_getaffinity(0)))
    pool = ThreadPoolExecutor(workers, thread_name_prefix="photos")  # Pillow, zlib and hashing let go of the lock
    try:
        reader = Reader(context, archive, pool)
        known = known_labels(dataset=dataset_import.dataset)
        if done:  # begun already, when no label stood against it; one that was edited since stops nothing
            known = {name: replace(label, category="") for name, label in known.items()}
        plan = plan_import(archive, known, image_size=reader.image_size)
        problems = [problem.as_dict() for problem in plan.problems]
        if plan.errors and not done:
            raise refusal(plan.errors, problems)
        dataset_import.problems = problems
        with context.fenced():  # once: there may be thousands
            dataset_import.save(update_fields=["problems"])
        take_in(context, dataset_import, plan, reader, done)
    finally:
        pool.shutdown(cancel_futures=True)


def take_in(context: JobContext, dataset_import: Import, plan: Plan, reader: "Reader", done: dict[str, int]) -> None:
    """Takes in the rows that have no fate yet."""
    settled = set(ImportFile.objects.filter(dataset_import=dataset_import).values_list("position", flat=True))
    rows = [row for row in plan.rows if row.position not in settled]
    counts = dict.fromkeys(ImportFile.Outcome.values, 0) | done
    total, count = len(plan.rows), len(plan.rows) - len(rows)
    for taken in reader.chunks(rows, total):
        try:
            chunk_add(context, dataset_import, taken, counts)
        except PhotosGone:
            with context.fenced():
                photos_hold(())  # no sweep comes between from here on
                chunk_add(context, dataset_import, reader.again(taken), counts)
        count += len(taken)
        context.progress(count, total, "files", "Decoding, hashing, storing")
    dataset_import.counts = counts
    refused = f", {counts['refused']:,} refused" if counts["refused"] else ""
    context.log(f"{counts['added']:,} added, {counts['duplicate']:,} there already{refused}")


def chunk_add(context: JobContext, dataset_import: Import, taken: Sequence[Taken], counts: dict[str, int]) -> None:
    """Writes a chunk with its outcomes, which are added to `counts`. Raises PhotosGone; then nothing was written."""
    with context.fenced():
        for outcome, number in import_chunk_add(dataset_import=dataset_import, taken=taken).items():
            counts[outcome] += number
        dataset_import.counts = counts
        dataset_import.save(update_fields=["counts"])


class Reader:
    """Reads, decodes, hashes and stores photos of an archive on all cores, a chunk ahead of the database."""

    def __init__(self, context: JobContext, archive: Archive, pool: ThreadPoolExecutor) -> None:
        self._context = context
        self._archive = archive
        self._pool = pool
        self._known: dict[str, PhotoFacts | str] = {}  # of entries with boxes, which several rows name

    def image_size(self, entries: list[str]) -> ImageSize:
        """Decodes entries; returns what tells their (width, height) in pixels, None for no photo."""
        for begin in range(0, len(entries), CHUNK):
            self._context.check()
            part = entries[begin : begin + CHUNK]
            self._context.progress(begin, len(entries), "photos", "Checking the boxes")
            self._known |= zip(part, self._pool.map(self._facts, part), strict=True)

        def size_of(entry: str) -> tuple[int, int] | None:
            facts = self._known.get(entry)
            return (facts.width, facts.height) if isinstance(facts, PhotoFacts) else None

        return size_of

    def _facts(self, entry: str) -> PhotoFacts | str:
        try:
            return photo_facts(self._archive.read(entry))
        except ImageProblem as problem:
            return str(problem)

    def chunks(self, rows: Sequence[Row], total: int) -> Iterator[list[Taken]]:
        """Rows in order, by chunks; while the caller writes one, the next is being read."""
        waiting: deque[list[Future[Taken]]] = deque()
        done = total - len(rows)
        for begin in range(0, len(rows) + CHUNK, CHUNK):
            part = rows[begin : begin + CHUNK]
            if part:
                waiting.append([self._pool.submit(self._take, row) for row in part])
            if len(waiting) > 1 or (waiting and not part):
                taken = []
                for future in waiting.popleft():
                    self._context.check()
                    taken.append(future.result())
                    done += 1
                    self._context.progress(done, total, "files", "Decoding, hashing, storing")
                yield taken

    def again(self, taken: Sequence[Taken]) -> list[Taken]:
        """A chunk whose photos were swept meanwhile, its files stored once more."""
        return [self._take(each.row) for each in taken]

    def _take(self, row: Row) -> Taken:
        if row.refusal:
            return Taken(row, None, row.refusal)
        known = self._known.get(row.entry)
        if isinstance(known, str):
            return Taken(row, None, known)
        try:
            data = self._archive.read(row.entry)
            facts = known or photo_facts(data)
        except ImageProblem as problem:
            return Taken(row, None, str(problem))
        photo_store(data, facts.sha256)
        return Taken(row, facts)
