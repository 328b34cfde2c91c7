"""Building an index: files and rows, the flip, and what happens when it is done twice."""

import hashlib
import io
from typing import Any

import numpy as np
import pytest
from django.core.files.storage import default_storage

from apps.accounts.models import Membership, Role, User
from apps.core.errors import BadInput, Conflict, Forbidden
from apps.datasets.models import Dataset, Sample
from apps.datasets.services import snapshot_create
from apps.jobs.context import JobContext
from apps.jobs.models import Job
from apps.jobs.runner import run_inline
from apps.search import tasks
from apps.search.models import EmbeddingSet, Index
from apps.search.services import index_submit
from apps.zoo.models import ModelVersion
from apps.zoo.services import alias_remove, version_retire
from mlcore.index import IDS, MANIFEST, VECTORS, FlatIndex
from tests.apps.search.conftest import build_index
from tests.apps.zoo.making import add_sample, draw, make_dataset, make_snapshot


def read(key: str) -> bytes:
    with default_storage.open(key) as file:
        data: bytes = file.read()
    return data


def test_an_index_is_built_and_flipped_to(version: ModelVersion, user: User, dataset: Dataset) -> None:
    job = build_index(version, user)
    index = Index.objects.get(is_active=True)
    embeddings = index.embedding_set
    assert job.result == {"index": index.pk, "count": 12, "space": version.space}
    assert (index.version, index.dataset, index.job) == (version, dataset, job)
    assert (embeddings.count, embeddings.space, embeddings.dimension) == (12, version.space, 16)
    data = read(f"{embeddings.folder_key}/embeddings.npy")
    assert hashlib.sha256(data).hexdigest() == embeddings.sha256
    vectors = np.load(io.BytesIO(data))
    assert (vectors.shape, vectors.dtype) == ((12, 16), np.float32)
    files = {name: read(f"{index.folder_key}/{name}") for name in (VECTORS, IDS, MANIFEST)}
    assert hashlib.sha256(files[VECTORS]).hexdigest() == index.sha256
    loaded = FlatIndex.from_files(files, space=version.space)
    ids = list(Sample.objects.filter(dataset=dataset).order_by("pk").values_list("pk", flat=True))
    assert loaded.ids.tolist() == ids
    assert loaded.search(vectors, 1).ids[:, 0].tolist() == ids  # each finds itself


def test_a_second_index_uses_the_embeddings_again(indexed: ModelVersion, user: User) -> None:
    first = Index.objects.get()
    written = EmbeddingSet.objects.get()
    job = build_index(indexed, user)
    assert "there already" in job.log_tail
    assert EmbeddingSet.objects.get().folder_key == written.folder_key
    assert Index.objects.get(is_active=True).pk != first.pk
    assert default_storage.exists(f"{first.folder_key}/{VECTORS}")  # one may be reading it still
    build_index(indexed, user)
    assert not Index.objects.filter(pk=first.pk).exists()
    assert not default_storage.exists(f"{first.folder_key}/{VECTORS}")


def test_altered_embeddings_are_made_again(indexed: ModelVersion, user: User) -> None:
    key = f"{EmbeddingSet.objects.get().folder_key}/embeddings.npy"
    with default_storage.open(key, "r+b") as file:
        file.seek(200)
        file.write(b"\0\0\0\1")
    build_index(indexed, user)
    fresh = EmbeddingSet.objects.get()
    assert not key.startswith(fresh.folder_key)
    assert hashlib.sha256(read(f"{fresh.folder_key}/embeddings.npy")).hexdigest() == fresh.sha256


def test_the_newest_snapshot_can_be_asked_for(indexed: ModelVersion, user: User, dataset: Dataset) -> None:
    label = dataset.labels.get(name="label 0")
    added = add_sample(dataset, draw(0, 9), label=label, path="new.png")
    newest = snapshot_create(dataset=dataset, user=user)
    job = build_index(indexed, user, snapshot=newest)
    assert job.payload["snapshot"] == newest.pk
    assert job.result["count"] == 13
    active = Index.objects.get(is_active=True)
    assert active.embedding_set.snapshot == newest
    assert added.pk in np.load(io.BytesIO(read(f"{active.folder_key}/{IDS}")))
    assert EmbeddingSet.objects.count() == 2


def test_a_retry_after_the_flip_finds_what_it_made(indexed: ModelVersion) -> None:
    job = Job.objects.get(kind="index")
    assert tasks.index_job(JobContext(job)) == job.result
    assert Index.objects.count() == 1


def test_a_crash_before_the_flip_leaves_the_old_one(
    indexed: ModelVersion, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Index.objects.get()
    job = index_submit(version=indexed, user=user)

    def crash(*args: Any) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(JobContext, "check", crash)
        assert run_inline(job).state == Job.State.FAILED
    assert Index.objects.get(is_active=True) == old
    litter = f"indexes/{indexed.pk}/{job.pk}-1"
    assert default_storage.exists(f"{litter}/{VECTORS}")
    Job.objects.filter(pk=job.pk).update(state=Job.State.QUEUED)  # as `jobs.kick` does after a crash
    assert run_inline(job).state == Job.State.SUCCEEDED
    assert Index.objects.get(is_active=True).folder_key == f"indexes/{indexed.pk}/{job.pk}-2"
    assert not default_storage.exists(f"{litter}/{VECTORS}")


def test_a_cancelled_one_writes_nothing(version: ModelVersion, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    job = index_submit(version=version, user=user)
    Job.objects.filter(pk=job.pk).update(cancel_requested=True)
    monkeypatch.setattr(JobContext, "should_stop", lambda self: self.cancelled.set() or True)
    assert run_inline(job).state == Job.State.CANCELLED
    assert not Index.objects.exists()
    assert not EmbeddingSet.objects.exists()


def test_corrupted_weights_are_refused(version: ModelVersion, user: User) -> None:
    with default_storage.open(f"{version.folder_key}/weights.safetensors", "r+b") as file:
        file.seek(-4, io.SEEK_END)
        file.write(b"\xff\xff\xff\xff")
    job = run_inline(index_submit(version=version, user=user))
    assert job.state == Job.State.FAILED
    assert "weights" in job.error
    assert not Index.objects.exists()


def test_who_may_ask_for_what(version: ModelVersion, user: User, other_user: User) -> None:
    first = index_submit(version=version, user=user)
    assert index_submit(version=version, user=user) == first  # while it waits, that one
    Membership.objects.create(user=other_user, dataset=version.model.dataset, role=Role.ANNOTATOR)
    with pytest.raises(Forbidden):
        index_submit(version=version, user=other_user)
    with pytest.raises(BadInput, match="not of"):
        index_submit(version=version, user=user, snapshot=make_snapshot(make_dataset("Other", user)))
    alias_remove(model=version.model, name="champion", user=user)
    version_retire(version=version, user=user)
    with pytest.raises(Conflict, match="retired"):
        index_submit(version=version, user=user)
