"""The inference process, started for real: embeddings, search, and every way to be refused."""

import io
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from django.conf import settings as site
from django.core.files.storage import default_storage

from apps.accounts.models import User
from apps.core.errors import BadInput, Unavailable
from apps.datasets.models import Dataset, Sample
from apps.datasets.services import snapshot_create
from apps.search import client, secret
from apps.search.client import WrongSpace
from apps.search.models import EmbeddingSet, Index
from apps.zoo.models import ModelVersion
from kindred.removal import dataset_remove
from mlcore.index import VECTORS
from tests.apps.search.conftest import Process, build_index
from tests.apps.zoo.making import add_sample, draw, make_dataset, make_model, make_version

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def stored(dataset: Dataset) -> tuple[list[Sample], np.ndarray[Any, Any]]:
    """The samples and their embeddings as the index job made them."""
    embeddings = EmbeddingSet.objects.latest("pk")
    with default_storage.open(f"{embeddings.folder_key}/embeddings.npy") as file:
        vectors = np.load(io.BytesIO(file.read()))
    return list(Sample.objects.filter(dataset=dataset).order_by("pk").select_related("image")), vectors


def photo(sample: Sample) -> bytes:
    with default_storage.open(sample.image.key) as file:
        data: bytes = file.read()
    return data


def test_one_alone_gives_what_it_gives_in_a_batch(inference: Process, indexed: ModelVersion, dataset: Dataset) -> None:
    samples, vectors = stored(dataset)
    photos = [photo(sample) for sample in samples]
    together = client.embed(photos, indexed)
    assert (together.space, together.dimension) == (indexed.space, 16)
    alone = [client.embed([data], indexed).vectors[0] for data in photos]
    for other in (alone, vectors):  # and what the index was built of
        cosines = (np.asarray(together.vectors) * np.asarray(other)).sum(axis=1)
        assert cosines.min() > 0.9999
    assert len(client.embed(photos * 4, indexed).vectors) == 48  # more than one request


def test_many_at_once_are_answered_each_with_its_own(
    inference: Process, indexed: ModelVersion, dataset: Dataset
) -> None:
    samples, vectors = stored(dataset)
    answers: dict[int, list[float]] = {}

    def ask(place: int) -> None:
        answers[place] = client.embed([photo(samples[place % 12])], indexed).vectors[0]

    client.embed([photo(samples[0])], indexed)  # the model is loaded once
    before = client.health()
    threads = [threading.Thread(target=ask, args=(place,)) for place in range(48)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = client.health()
    assert min(float(np.dot(answers[place], vectors[place % 12])) for place in range(48)) > 0.9999
    assert after["photos"] - before["photos"] == 48
    assert after["batches"] - before["batches"] < 48  # some of them went together


def test_search_end_to_end(inference: Process, indexed: ModelVersion, dataset: Dataset) -> None:
    samples, vectors = stored(dataset)
    query = samples[4]
    hits = client.search(photo(query), version=indexed, k=5)
    assert len(hits) == 5
    assert hits[0].sample_id == query.pk
    assert hits[0].score == pytest.approx(1, abs=1e-5)
    assert hits[0].distance == pytest.approx(0, abs=1e-5)
    scores = vectors @ vectors[4]
    order = sorted(range(12), key=lambda place: (-scores[place], samples[place].pk))
    assert [hit.sample_id for hit in hits] == [samples[place].pk for place in order[:5]]
    by_vector = client.search(vectors[4].tolist(), version=indexed, k=5, space=indexed.space)
    assert [hit.sample_id for hit in by_vector] == [hit.sample_id for hit in hits]
    without = client.search(photo(query), version=indexed, k=5, exclude=[query.pk])
    assert [hit.sample_id for hit in without] == [samples[place].pk for place in order[1:6]]
    assert len(client.search(photo(query), version=indexed, k=100)) == 12


def test_filters_follow_the_labels_as_they_are_now(inference: Process, indexed: ModelVersion, dataset: Dataset) -> None:
    query = photo(Sample.objects.filter(dataset=dataset).earliest("pk"))
    discs = {hit.sample_id for hit in client.search(query, version=indexed, k=50, category="discs")}
    assert discs == set(Sample.objects.filter(category__name="discs").values_list("pk", flat=True))
    moved = Sample.objects.filter(label__name="label 0").earliest("pk")
    Sample.objects.filter(pk=moved.pk).update(label=dataset.labels.get(name="label 1"))
    found = {hit.sample_id for hit in client.search(query, version=indexed, k=50, label="label 1")}
    assert moved.pk in found
    assert len(found) == 4
    assert client.search(query, version=indexed, k=50, category="discs", label="label 0") == []
    for names in ({"category": "mugs"}, {"label": "mugs"}):
        with pytest.raises(BadInput, match=r"no (category|label) 'mugs'"):
            client.search(query, version=indexed, k=5, **names)


def test_a_box_searches_with_a_part(inference: Process, version: ModelVersion, user: User, dataset: Dataset) -> None:
    label = dataset.labels.get(name="label 0")
    box = (4, 4, 30, 30)
    boxed = add_sample(dataset, draw(9, 9), label=label, path="boxed.png", box=box)
    build_index(version, user, snapshot=snapshot_create(dataset=dataset, user=user))
    hits = client.search(draw(9, 9), version=version, k=1, box=box)
    assert (hits[0].sample_id, round(hits[0].score, 4)) == (boxed.pk, 1)
    with pytest.raises(BadInput):
        client.search(draw(9, 9), version=version, k=1, box=(40, 40, 400, 400))


def test_a_vector_of_another_space_is_refused(inference: Process, indexed: ModelVersion, user: User) -> None:
    other = make_version(make_model(indexed.model.dataset, "other"), user, seed=1)
    vector = client.embed([draw(0, 0)], other).vectors[0]
    assert other.space != indexed.space
    with pytest.raises(WrongSpace, match=other.space) as caught:
        client.search(vector, version=indexed, k=3, space=other.space)
    assert caught.value.status == 409
    with pytest.raises(BadInput, match="needs its space"):
        client.search(vector, version=indexed, k=3)
    with pytest.raises(BadInput, match="15 numbers"):
        client.search(vector[:15], version=indexed, k=3, space=indexed.space)
    with pytest.raises(BadInput, match="no direction"):
        client.search([0.0] * 16, version=indexed, k=3, space=indexed.space)


@pytest.mark.parametrize("data", [b"", b"GIF89a", draw(0, 0)[:90], b"text"], ids=["empty", "head", "cut", "text"])
def test_a_file_that_is_no_photo_is_refused(inference: Process, indexed: ModelVersion, data: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        client.search(data, version=indexed, k=3)
    assert caught.value.status == 422
    assert caught.value.detail
    with pytest.raises(BadInput, match="Image 1"):
        client.embed([draw(0, 0), data], indexed)
    assert client.search(draw(0, 0), version=indexed, k=3)


def test_requests_that_are_wrong(inference: Process, indexed: ModelVersion) -> None:
    transport = httpx.HTTPTransport(uds=str(inference.socket))
    good = {"version": indexed.pk, "vector": [1.0], "space": "x"}
    with httpx.Client(transport=transport, base_url="http://inference") as session:
        for headers in ({}, {secret.HEADER: "guess"}, {secret.HEADER: "ü".encode()}):
            for path in ("/health", "/search", "/embed"):
                method = "GET" if path == "/health" else "POST"
                assert session.request(method, path, headers=headers).status_code == 401
        headers = {secret.HEADER: secret.token()}
        for body in ({}, {**good, "k": 0}, {**good, "image": "AAAA"}, {**good, "more": 1}, {"version": indexed.pk}):
            answer = session.post("/search", json=body, headers=headers)
            assert answer.status_code == 422, body
            assert answer.json()["detail"]
        body = {"version": indexed.pk, "images": ["not base64!"]}
        assert "base64" in session.post("/embed", json=body, headers=headers).json()["detail"]
        assert session.post("/embed", content=b"{", headers=headers).status_code == 422
        assert session.post("/embed", content=bytes(65 * 2**20), headers=headers).status_code == 413
        assert session.get("/elsewhere", headers=headers).status_code == 404


def test_an_unknown_version_or_one_without_an_index(inference: Process, version: ModelVersion) -> None:
    assert client.embed([draw(0, 0)], version).vectors
    with pytest.raises(Unavailable, match="no search index") as caught:
        client.search(draw(0, 0), version=version)
    assert "Build it" in caught.value.remedy
    with pytest.raises(BadInput, match="no model version"):
        client.embed([draw(0, 0)], ModelVersion(pk=999_999, space="", dimension=1))


def test_a_new_index_is_picked_up(inference: Process, indexed: ModelVersion, user: User, dataset: Dataset) -> None:
    assert len(client.search(draw(0, 0), version=indexed, k=50)) == 12
    add_sample(dataset, draw(3, 9), label=dataset.labels.get(name="label 3"), path="new.png")
    build_index(indexed, user, snapshot=snapshot_create(dataset=dataset, user=user))
    end = time.monotonic() + 5
    while len(client.search(draw(0, 0), version=indexed, k=50)) != 13:
        assert time.monotonic() < end
        time.sleep(0.2)


def test_what_is_loaded_outlives_its_files(inference: Process, indexed: ModelVersion, user: User) -> None:
    assert client.search(draw(0, 0), version=indexed, k=1)
    problems = client.health()["problems"]
    index = Index.objects.get()
    weights = f"{indexed.folder_key}/weights.safetensors"
    kept = {key: default_storage.open(key).read() for key in (weights, f"{index.folder_key}/{VECTORS}")}
    for key in kept:
        default_storage.delete(key)
    time.sleep(2.2)  # the row is read again
    assert client.search(draw(0, 0), version=indexed, k=1)
    assert client.health()["problems"] == problems
    inference.stop()
    inference.start()
    with pytest.raises(Unavailable, match=r"weights.safetensors is not in the storage"):
        client.search(draw(0, 0), version=indexed, k=1)
    default_storage.save(weights, io.BytesIO(kept[weights]))
    with pytest.raises(Unavailable, match="a file is gone") as caught:
        client.search(draw(0, 0), version=indexed, k=1)
    assert "Build the index again" in caught.value.remedy
    assert len(client.health()["problems"]) == 1


def test_a_deleted_model_is_gone_and_the_others_serve_on(
    inference: Process, indexed: ModelVersion, user: User, other_user: User
) -> None:
    other = make_version(make_model(make_dataset("Other shapes", other_user), "other"), other_user, seed=1)
    broken = make_version(indexed.model, user, seed=2)  # never loaded: its files are missing when it is asked for
    assert client.search(draw(0, 0), version=indexed, k=1)
    default_storage.delete(f"{broken.folder_key}/weights.safetensors")
    with pytest.raises(Unavailable):
        client.embed([draw(0, 0)], broken)
    before = client.health()
    assert indexed.pk in {held["version"] for held in before["models"]}

    dataset_remove(dataset=indexed.model.dataset, user=user, typed_name="Shapes")
    assert not default_storage.exists(f"{indexed.folder_key}/weights.safetensors")
    time.sleep(2.2)  # until then it may serve on from memory
    for version in (indexed, broken):
        with pytest.raises(BadInput, match=f"no model version {version.pk}") as caught:
            client.search(draw(0, 0), version=version, k=1)
        assert "deleted" in caught.value.remedy
    assert client.embed([draw(0, 0)], other).vectors
    after = client.health()
    assert after["pid"] == before["pid"]
    assert indexed.pk not in {held["version"] for held in [*after["models"], *after["indexes"]]}
    assert not [text for text in after["problems"] if str(broken) in text]


def test_the_old_index_serves_while_the_new_one_cannot_be_read(
    inference: Process, indexed: ModelVersion, user: User
) -> None:
    assert client.search(draw(0, 0), version=indexed, k=1)
    build_index(indexed, user)
    default_storage.delete(f"{Index.objects.get(is_active=True).folder_key}/{VECTORS}")
    time.sleep(2.2)
    assert len(client.search(draw(0, 0), version=indexed, k=50)) == 12
    assert "a file is gone" in client.health()["problems"][-1]


def test_corrupted_weights_are_refused(inference: Process, indexed: ModelVersion) -> None:
    with default_storage.open(f"{indexed.folder_key}/weights.safetensors", "r+b") as file:
        file.seek(-4, io.SEEK_END)
        file.write(b"\xff\xff\xff\xff")
    with pytest.raises(Unavailable, match=indexed.folder_key) as caught:
        client.embed([draw(0, 0)], indexed)
    assert "kindred-model-" not in caught.value.detail


def test_the_process_away_and_back(inference: Process, indexed: ModelVersion) -> None:
    assert stat.S_IMODE(inference.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(inference.socket.parent.stat().st_mode) == 0o700
    assert client.search(draw(0, 0), version=indexed, k=1)
    assert inference.stop(signal.SIGKILL) == -signal.SIGKILL
    assert inference.socket.exists()  # stale: it had no time to tidy up
    with pytest.raises(Unavailable, match="does not answer") as caught:
        client.search(draw(0, 0), version=indexed, k=1)
    assert "manage.py inference" in caught.value.remedy
    inference.start()
    assert client.search(draw(0, 0), version=indexed, k=1)
    assert inference.stop() == 0
    assert not inference.socket.exists()


def test_a_second_process_does_not_take_the_socket(inference: Process) -> None:
    second = subprocess.run(
        [sys.executable, "manage.py", "inference"],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.apps.search.settings",
            "PYTHONPATH": f"{site.ROOT / 'platform'}{os.pathsep}{site.ROOT}",
            "KINDRED_TEST_DATABASE": "none",
            "KINDRED_TEST_FILES": "/nowhere",
            "KINDRED_TEST_SOCKET": str(inference.socket),
        },
        cwd=site.ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode != 0
    assert "serves at" in second.stderr
    assert client.health()["status"] == "ok"


def test_over_tcp(indexed: ModelVersion, settings: Any, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings.INFERENCE_URL = f"http://{address}"
    files = Path(site.STORAGES["default"]["OPTIONS"]["location"])
    process = Process(tmp_path / "unused.sock", files, KINDRED_INFERENCE_BIND=address).start()
    try:
        assert client.search(draw(0, 0), version=indexed, k=1)
        assert httpx.get(f"http://{address}/health").status_code == 401
        assert not (tmp_path / "unused.sock").exists()
    finally:
        process.stop()
