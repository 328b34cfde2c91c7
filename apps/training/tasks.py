"""The training itself, as a job. Runs in a process of its own, which alone loads torch."""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.core.errors import BadInput
from apps.datasets.selectors.snapshots import manifest_read
from apps.datasets.sources import StorageSource, photo_cache_dir
from apps.jobs.context import Cancelled, JobContext
from apps.jobs.services import job_submit
from apps.training.checkpoints import checkpoint_fetch, checkpoints_drop, checkpoints_sweep, litter_sweep
from apps.training.models import Checkpoint, Run
from apps.training.recorder import Recorder
from apps.zoo.files import MODEL_FILES, folder_write
from mlcore.config import Recipe
from mlcore.engine import TrainResult, fit
from mlcore.errors import InputError


def train_job(context: JobContext) -> dict[str, Any]:
    """Trains the run of `payload["run"]`, from its newest whole checkpoint if an earlier attempt left one.

    Ends with the model in the storage, its figures in the run's row and the evaluation queued. Safe to run again at
    any point: what was finished is not done twice.
    """
    run = Run.objects.select_related("snapshot", "dataset", "job").get(pk=context.job.payload["run"])
    if run.folder_key:  # an earlier attempt finished it, and died before it could say so
        return {"best": run.metrics}
    work = Path(settings.DATA_DIR) / "work" / "runs" / str(run.pk)
    folder = work / str(context.attempt)
    shutil.rmtree(work, ignore_errors=True)  # what earlier attempts left
    folder.mkdir(parents=True)
    try:
        litter_sweep(run)
        checkpoints_sweep()
        context.progress(0, stage="reading the snapshot")
        manifest = manifest_read(run.snapshot)
        recipe = Recipe.model_validate(run.recipe)
        recorder = Recorder(context, run)
        resume_from = checkpoint_fetch(run, folder / "resume", log=context.log, warn=recorder.warn)
        result = fit(
            recipe,
            manifest,
            source=StorageSource(),
            out_dir=folder,
            on_event=recorder,
            should_stop=context.should_stop,
            resume_from=resume_from,
            cache_dir=photo_cache_dir(),
        )
        recorder.flush()
        context.check()
        if result.stopped:
            raise RuntimeError("The training stopped without having been asked to.")
        context.progress(result.steps, result.steps, unit="steps", stage="keeping the model")
        return run_finish(context, run, result)
    except Cancelled:
        checkpoints_drop(context, run)
        raise
    except InputError as error:
        raise BadInput(error.message, remedy=" ".join(error.problems)) from error
    finally:
        # Not the whole of `work`: whoever replaced this attempt works there too.
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            work.rmdir()


def run_finish(context: JobContext, run: Run, result: TrainResult) -> dict[str, Any]:
    """Stores the model, publishes it with one transaction, queues the evaluation, drops the checkpoints."""
    assert result.model_dir is not None
    folder_key = f"runs/{run.pk}/{context.attempt}/model"
    folder_write(folder_key, {name: (result.model_dir / name).read_bytes() for name in MODEL_FILES})
    with context.fenced():
        run.folder_key = folder_key
        run.metrics = result.best_metrics
        run.untrained_metrics = result.untrained_metrics
        run.save(update_fields=["folder_key", "metrics", "untrained_metrics"])
        job_submit(
            kind="evaluate",
            title=f"Report of {run.name}",
            payload={"run": run.pk},
            owner=run.created_by,
            dataset=run.dataset,
        )
        Checkpoint.objects.filter(run=run).delete()
    litter_sweep(run)
    return {
        "best_step": result.best_step,
        "steps": result.steps,
        "seconds": round(result.seconds, 1),
        "images_per_second": round(result.images_per_second, 1),
        "best": result.best_metrics,
    }
