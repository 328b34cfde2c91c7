"""The evaluation of a run's model, as a job. Runs in a process of its own, which alone loads torch."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
from django.conf import settings

from apps.core.errors import BadInput
from apps.datasets.models import Category, Sample
from apps.datasets.selectors.snapshots import manifest_read
from apps.datasets.sources import StorageSource, photo_cache_dir
from apps.jobs.context import JobContext
from apps.reports.extras import measure
from apps.reports.models import Evaluation, QueryResult
from apps.training.models import Run
from apps.zoo.files import folder_read
from mlcore.embed import Stopped, embed_manifest
from mlcore.engine import pick_device
from mlcore.errors import InputError
from mlcore.evaluate import QueryReport, Report
from mlcore.model import load_model

ROWS_PER_INSERT = 2000


def evaluate_job(context: JobContext) -> dict[str, Any]:
    """Embeds the validation split of a run's snapshot with the run's model, and writes the report.

    Run again, it replaces what an earlier attempt wrote: one job, one report.
    """
    run = Run.objects.select_related("snapshot", "dataset").get(pk=context.job.payload["run"])
    if not run.folder_key:
        raise BadInput(f"{run} has no finished model to evaluate.", remedy="Wait until its training has succeeded.")
    folder = Path(settings.DATA_DIR) / "work" / "evaluations" / str(context.job.pk) / str(context.attempt)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        context.progress(0, stage="reading the model")
        for name, data in folder_read(run.folder_key).items():
            (folder / name).write_bytes(data)
        manifest = manifest_read(run.snapshot)
        rows = manifest[manifest["split"] == "validation"].reset_index(drop=True)
        embedder = load_model(folder, pick_device(None))
        embeddings = embed_manifest(
            embedder,
            rows,
            StorageSource(),
            cache_dir=photo_cache_dir(),
            on_message=context.log,
            on_progress=lambda done, total: context.progress(done, total, unit="samples", stage="embedding"),
            should_stop=context.should_stop,
        )
        context.progress(0, stage="measuring")
        report, extras = measure(embeddings, rows)
        context.check()
        context.progress(0, len(report.queries), unit="queries", stage="writing the report")
        return report_write(context, run, rows, report, extras)
    except Stopped:
        context.check()
        raise
    except InputError as error:
        raise BadInput(error.message, remedy=" ".join(error.problems)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            folder.parent.rmdir()


def report_write(
    context: JobContext, run: Run, rows: pd.DataFrame, report: Report, extras: dict[str, Any]
) -> dict[str, Any]:
    """Writes the evaluation and its queries, all or nothing. extras: of `apps.reports.extras.measure`."""
    category_ids = dict(Category.objects.filter(dataset=run.dataset).values_list("name", "id"))
    categories = [
        {
            "id": category_ids.get(category.name),
            "name": category.name,
            "queries": category.queries,
            "queries_without_match": category.queries_without_match,
            "metrics": category.metrics,
        }
        for category in report.categories
    ]
    counts = {**report.counts, **left_out(rows, report.queries)}
    with context.fenced():
        evaluation, _ = Evaluation.objects.update_or_create(
            job=context.job,
            defaults={
                "run": run,
                "snapshot": run.snapshot,
                "overall": report.overall,
                "untrained": run.untrained_metrics,
                "categories": categories,
                "counts": counts,
                "extras": extras,
            },
        )
        evaluation.queries.all().delete()
        QueryResult.objects.bulk_create(query_rows(evaluation, rows, report), batch_size=ROWS_PER_INSERT)
    return {"report": evaluation.pk, "overall": report.overall}


def query_rows(evaluation: Evaluation, rows: pd.DataFrame, report: Report) -> list[QueryResult]:
    """The report's queries as rows, with the names that the snapshot has."""
    names = snapshot_names(rows)
    ids = [query.sample_id for query in report.queries]
    alive = set(Sample.objects.filter(pk__in=ids).values_list("pk", flat=True))
    return [
        QueryResult(
            evaluation=evaluation,
            sample_id=query.sample_id if query.sample_id in alive else None,
            label=names[query.sample_id][0],
            category=names[query.sample_id][1],
            average_precision=query.average_precision,
            first_hit_rank=query.first_hit_rank,
            neighbours=[
                {
                    "sample": neighbour.sample_id,
                    "label": names[neighbour.sample_id][0],
                    "distance": round(neighbour.distance, 6),
                    "hit": neighbour.hit,
                }
                for neighbour in query.neighbours
            ],
        )
        for query in report.queries
    ]


def snapshot_names(rows: pd.DataFrame) -> dict[int, tuple[str, str]]:
    """Sample id -> its label and category ("": none) in a manifest."""
    columns = rows["sample_id"], rows["label"], rows["category"].fillna("")
    return {sample_id: (label, category) for sample_id, label, category in zip(*map(list, columns), strict=True)}


def left_out(rows: pd.DataFrame, queries: Sequence[QueryReport]) -> dict[str, int]:
    """Why queries have no figures: no other gallery sample of their label, or only ones that may not count.

    Those that may not count are of the query's own sequence, or copies of its own photo and box.
    """
    without = {query.sample_id for query in queries if query.average_precision is None}
    gallery = rows[rows["is_gallery"]]
    total = gallery.groupby("label").size()
    own = set(gallery["sample_id"])
    alone = 0
    for sample_id, label in rows.loc[rows["sample_id"].isin(without), ["sample_id", "label"]].itertuples(index=False):
        alone += int(total.get(label, 0)) - (sample_id in own) <= 0
    return {"left_out_alone": alone, "left_out_excluded": len(without) - alone}
