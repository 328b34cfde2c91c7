"""The building of a search index, as a job. Runs in a process of its own, which alone loads torch and faiss."""

import hashlib
import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from numpy.typing import NDArray

from apps.accounts.models import User
from apps.core.errors import BadInput, KindredError
from apps.core.files import folder_delete
from apps.datasets.models import Snapshot
from apps.datasets.photos import disk_full_explained
from apps.datasets.selectors.snapshots import manifest_read
from apps.datasets.sources import StorageSource, photo_cache_dir
from apps.jobs.context import JobContext
from apps.search.models import EmbeddingSet, Index
from apps.zoo.files import folder_read
from apps.zoo.models import ModelVersion
from apps.zoo.services import CHAMPION, alias_set
from mlcore.embed import Stopped, embed_manifest
from mlcore.engine import pick_device
from mlcore.errors import InputError
from mlcore.index import VECTORS, FlatIndex
from mlcore.model import load_model

EMBEDDINGS, IDS = "embeddings.npy", "ids.npy"
KEPT_INDEXES = 2  # the active one, and the one before it: a process may be reading that still


def index_job(context: JobContext) -> dict[str, Any]:
    """Embeds the samples of `payload["snapshot"]` (else the version's own) by `payload["version"]` and indexes them.

    Embeddings that are there already are used again. The new index becomes the active one in one transaction at the
    end. Run again after a crash, it goes on from the embeddings, and finds its own index if that was finished.
    """
    done = Index.objects.filter(job=context.job).select_related("embedding_set").first()
    if done is not None:
        return _result(done)
    payload = context.job.payload
    version = ModelVersion.objects.select_related("model__dataset").get(pk=payload["version"])
    snapshot = Snapshot.objects.get(pk=payload.get("snapshot") or version.snapshot_id)
    _litter_sweep(context, version)
    try:
        embeddings = _embeddings(context, version, snapshot)
        return _index(context, version, embeddings)
    except Stopped:
        context.check()
        raise
    except InputError as error:
        raise BadInput(error.message, remedy=" ".join(error.problems)) from error


def _embeddings(context: JobContext, version: ModelVersion, snapshot: Snapshot) -> EmbeddingSet:
    """The embedding set of the version and snapshot: the one there is, if its files are whole, or a new one."""
    known = EmbeddingSet.objects.filter(version=version, snapshot=snapshot).first()
    if known is not None and _vectors(known) is not None:
        context.log("The embeddings are there already.")
        return known
    context.progress(0, stage="reading the snapshot")
    manifest = manifest_read(snapshot)
    context.progress(0, len(manifest), unit="samples", stage="embedding")
    vectors = _embed(context, version, manifest)
    folder_key = f"embeddings/{version.pk}/{snapshot.pk}/{context.job.pk}-{context.attempt}"
    files = {EMBEDDINGS: _npy(vectors), IDS: _npy(manifest["sample_id"].to_numpy(np.int64))}
    _write(folder_key, files)
    values = {
        "space": version.space,
        "dimension": version.dimension,
        "count": len(vectors),
        "folder_key": folder_key,
        "sha256": _sha256(files[EMBEDDINGS]),
    }
    with context.fenced():
        embeddings, _ = EmbeddingSet.objects.update_or_create(version=version, snapshot=snapshot, defaults=values)
    return embeddings


def _embed(context: JobContext, version: ModelVersion, manifest: pd.DataFrame) -> NDArray[np.float32]:
    """`(N, D)` float32, row for row those of the manifest."""
    with tempfile.TemporaryDirectory(prefix="kindred-model-") as folder:
        for name, data in folder_read(version.folder_key).items():
            (Path(folder) / name).write_bytes(data)
        embedder = load_model(Path(folder), pick_device(None))
    if embedder.space != version.space:
        raise BadInput(f"The files of {version} are of space {embedder.space}, not {version.space}.")
    return embed_manifest(
        embedder,
        manifest,
        StorageSource(),
        cache_dir=photo_cache_dir(),
        on_message=context.log,
        on_progress=lambda done, total: context.progress(done, total, unit="samples", stage="embedding"),
        should_stop=context.should_stop,
    )


def _index(context: JobContext, version: ModelVersion, embeddings: EmbeddingSet) -> dict[str, Any]:
    """Builds the index, stores it, and flips to it."""
    context.progress(0, stage="building the index")
    vectors = _vectors(embeddings)
    if vectors is None:
        raise BadInput(f"The files of {embeddings} are gone.", remedy="Build the index again.")
    with default_storage.open(f"{embeddings.folder_key}/{IDS}") as file:
        ids = np.load(io.BytesIO(file.read()), allow_pickle=False)
    files = FlatIndex.build(vectors, ids, version.space).to_files()
    folder_key = f"indexes/{version.pk}/{context.job.pk}-{context.attempt}"
    _write(folder_key, files)
    context.check()
    with context.fenced():
        _champion_set(context, version)
        # Two jobs of one version flip one after the other, or the constraint of one active index would fail the second.
        ModelVersion.objects.select_for_update(no_key=True).get(pk=version.pk)
        Index.objects.filter(version=version, is_active=True).update(is_active=False)
        index = Index.objects.create(
            dataset=version.model.dataset,
            embedding_set=embeddings,
            version=version,
            job=context.job,
            folder_key=folder_key,
            sha256=_sha256(files[VECTORS]),
            is_active=True,
        )
    _sweep(context, version)
    return _result(index)


def _champion_set(context: JobContext, version: ModelVersion) -> None:
    """Moves `champion` to the version if the job was asked to. Inside the fence that flips the index."""
    user = User.objects.filter(pk=context.job.payload.get("champion_by")).first()
    if user is None:
        return
    try:
        alias_set(model=version.model, name=CHAMPION, version=version, user=user)
    except (
        KindredError
    ) as error:  # retired meanwhile, or the person is no manager any more: the index stands all the same
        context.log(f"It did not become the champion: {error.detail}")


def _result(index: Index) -> dict[str, Any]:
    return {"index": index.pk, "count": index.embedding_set.count, "space": index.embedding_set.space}


def _vectors(embeddings: EmbeddingSet) -> NDArray[np.float32] | None:
    """`(N, D)` float32 of an embedding set; None where its file is gone or altered."""
    try:
        with default_storage.open(f"{embeddings.folder_key}/{EMBEDDINGS}") as file:
            data = file.read()
        if not default_storage.exists(f"{embeddings.folder_key}/{IDS}"):
            return None
    except FileNotFoundError:
        return None
    if _sha256(data) != embeddings.sha256:
        return None
    vectors: NDArray[np.float32] = np.load(io.BytesIO(data), allow_pickle=False)
    return vectors


def _sweep(context: JobContext, version: ModelVersion) -> None:
    """Drops the version's indexes that nobody can be using any more, rows before files."""
    with context.fenced():
        old = list(Index.objects.filter(version=version).order_by("-pk")[KEPT_INDEXES:])
        Index.objects.filter(pk__in=[index.pk for index in old], is_active=False).delete()
    for index in old:
        if not index.is_active:
            folder_delete(index.folder_key)


def _litter_sweep(context: JobContext, version: ModelVersion) -> None:
    """Drops what earlier attempts of this job left without a row."""
    for attempt in range(1, context.attempt):
        folder_key = f"indexes/{version.pk}/{context.job.pk}-{attempt}"
        if not Index.objects.filter(folder_key=folder_key).exists():
            folder_delete(folder_key)


def _write(folder_key: str, files: Mapping[str, bytes]) -> None:
    with disk_full_explained():
        for name, data in files.items():
            default_storage.delete(f"{folder_key}/{name}")
            default_storage.save(f"{folder_key}/{name}", ContentFile(data))


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
