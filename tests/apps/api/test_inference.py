"""Embeddings and search through the API: what is refused, and what a real inference process answers."""

import base64
import hashlib
import io
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings as site
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from PIL import Image as Pillow

from apps.accounts.models import User
from apps.core.errors import Unavailable
from apps.datasets.models import Category, Dataset, Image, Label, Sample
from apps.datasets.services import dataset_create, snapshot_create
from apps.jobs.models import Job
from apps.jobs.runner import run_inline
from apps.search import client
from apps.search.services import index_submit
from apps.zoo.models import Model, ModelVersion
from apps.zoo.services import alias_set, version_create, version_publish
from tests.apps.api.conftest import DIMENSION, SPACE, Api, World, assert_problem

SIDE = 32


def photo(seed: int) -> bytes:
    """A PNG of large random tiles."""
    tiles = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    file = io.BytesIO()
    Pillow.fromarray(tiles.repeat(SIDE // 4, axis=0).repeat(SIDE // 4, axis=1)).save(file, "PNG")
    return file.getvalue()


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


# --- refused before anybody is asked -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input": 7},
        {"input": []},
        {"input": {"image": "AAAA"}},
        {"input": [7]},
        {"input": ""},
        {"input": "not base64!"},
        {"input": "https://example.org/photo.jpg"},
        {"input": "data:image/png,AAAA"},
        {"input": ["AAAA"] * 33},
        {"input": "AAAA", "encoding_format": "hex"},
    ],
)
def test_embedding_requests_that_are_refused(api: Api, mine: World, body: dict[str, Any]) -> None:
    assert_problem(api.post("v1/embeddings", {"model": mine.model.name, **body}), 422)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"vector": [1.0] * DIMENSION}, 422),
        ({"vector": [1.0] * DIMENSION, "space": SPACE, "image": "AAAA"}, 422),
        ({"vector": [1.0] * DIMENSION, "space": "another"}, 409),
        ({"vector": [1.0] * (DIMENSION - 1), "space": SPACE}, 422),
        ({"vector": [], "space": SPACE}, 422),
        ({"vector": ["x"] * DIMENSION, "space": SPACE}, 422),
        ({"image": ["AAAA", "AAAA"]}, 422),
        ({"image": "AAAA", "k": 0}, 422),
        ({"image": "AAAA", "k": 201}, 422),
        ({"image": "AAAA", "box": [4, 4, 4, 8]}, 422),
        ({"image": "AAAA", "box": [0, 0, 8]}, 422),
    ],
)
def test_searches_that_are_refused(api: Api, mine: World, body: dict[str, Any], status: int) -> None:
    assert_problem(api.post("v1/search", {"model": mine.model.name, **body}), status)


def test_numbers_that_are_none(api: Api, mine: World) -> None:
    numbers = ",".join(["1e999"] * DIMENSION)  # JSON that Python reads as infinity
    body = f'{{"model": "{mine.model.name}", "space": "{SPACE}", "vector": [{numbers}]}}'
    response = api.client.post("/api/v1/search", body, content_type="application/json")
    assert_problem(response, 422, "vector")


def test_how_a_version_is_named(api: Api, mine: World, settings: Any, tmp_path: Path) -> None:
    settings.INFERENCE_SOCKET = tmp_path / "none.sock"
    name = mine.model.name
    for known in (name, f"{name}:1", f"{name}@champion"):
        problem = assert_problem(api.post("v1/embeddings", {"model": known, "input": "AAAA"}), 503)  # found, not served
        assert problem["remedy"]
    for unknown in ("", f"{name}:2", f"{name}@other", "other", f"{name}:{'9' * 100}"):
        status = 404 if unknown else 422
        problem = assert_problem(api.post("v1/embeddings", {"model": unknown, "input": "AAAA"}), status)
        assert not unknown or (f"model='{unknown[:100]}" in problem["detail"] and problem["remedy"])
    ModelVersion.objects.update(state=ModelVersion.State.RETIRED)
    assert_problem(api.post("v1/embeddings", {"model": name, "input": "AAAA"}), 422, "retired")


# --- answered by a real process ----------------------------------------------------------------------------------
@pytest.fixture
def published(transactional_db: None, user: User, tmp_path: Path) -> ModelVersion:
    """Six photos of three labels in two categories, and an untrained network that has indexed them."""
    from mlcore.config import Preprocess, ResNet
    from mlcore.extractors import build_extractor
    from mlcore.model import save_model

    dataset = dataset_create(name="Tiles", user=user)
    for number in range(6):
        data = photo(number)
        image = Image.objects.create(
            sha256=hashlib.sha256(data).hexdigest(), width=SIDE, height=SIDE, format="PNG", size_bytes=len(data)
        )
        default_storage.save(image.key, ContentFile(data))
        category, _ = Category.objects.get_or_create(dataset=dataset, name=f"C-{number // 4}")
        label, _ = Label.objects.get_or_create(dataset=dataset, name=f"L-{number // 2}", category=category)
        Sample.objects.create(
            dataset=dataset,
            image=image,
            label=label,
            category=category,
            path=f"{number}.png",
            split="validation",
            is_query=True,
            is_gallery=True,
        )
    extractor = ResNet(dimension=16)
    save_model(tmp_path / "model", build_extractor(extractor, size=SIDE), extractor, Preprocess(size=SIDE))
    version = version_create(
        model=Model.objects.create(name="Tiles", dataset=dataset),
        snapshot=snapshot_create(dataset=dataset, user=user),
        folder={file.name: file.read_bytes() for file in (tmp_path / "model").iterdir()},
        metrics={},
        user=user,
    )
    version_publish(version=version, user=user)
    alias_set(model=version.model, name="champion", version=version, user=user)
    job = index_submit(version=version, user=user)
    job = run_inline(job)
    assert job.state == Job.State.SUCCEEDED, job.log_tail
    return ModelVersion.objects.get(pk=version.pk)


@pytest.fixture
def inference(published: ModelVersion, settings: Any) -> Iterator[ModelVersion]:
    """The version, while `manage.py inference` serves it."""
    folder = Path(tempfile.mkdtemp(prefix="kd-"))  # a socket's path is short
    settings.INFERENCE_SOCKET = folder / "inference.sock"
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.apps.api.settings",
        "KINDRED_TEST_DATABASE": str(connection.settings_dict["NAME"]),
        "KINDRED_TEST_FILES": str(settings.MEDIA_ROOT),
        "KINDRED_TEST_SOCKET": str(settings.INFERENCE_SOCKET),
    }
    process = subprocess.Popen([sys.executable, "manage.py", "inference"], cwd=site.ROOT, env=env)
    try:
        end = time.monotonic() + 60
        while True:
            assert process.poll() is None, "the inference process ended"
            try:
                client.health()
                break
            except Unavailable:
                assert time.monotonic() < end, "the inference process does not answer"
                time.sleep(0.2)
        yield published
    finally:
        process.terminate()
        process.wait(timeout=20)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_embeddings_and_search(inference: ModelVersion, api: Api) -> None:
    check_embeddings(inference, api)
    check_search(inference, api)


def check_embeddings(version: ModelVersion, api: Api) -> None:
    texts = [text_of(photo(0)), f"data:image/png;base64,{text_of(photo(1))}"]
    answer = api.post("v1/embeddings", {"model": "Tiles", "input": texts}).json()
    assert (answer["object"], answer["model"], answer["space"]) == ("list", "Tiles:1", version.space)
    assert [item["index"] for item in answer["data"]] == [0, 1]
    vectors = np.array([item["embedding"] for item in answer["data"]], dtype=np.float32)
    assert vectors.shape == (2, answer["dimension"]) == (2, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert abs(float(vectors[0] @ vectors[1])) < 0.9999  # two photos, two vectors

    packed = api.post("v1/embeddings", {"model": "Tiles:1", "input": texts[0], "encoding_format": "base64"}).json()
    floats = struct.unpack("<16f", base64.b64decode(packed["data"][0]["embedding"]))
    np.testing.assert_allclose(floats, vectors[0], atol=1e-5)

    wrapped = "\n".join(texts[0][n : n + 76] for n in range(0, len(texts[0]), 76))  # as the tool base64 writes it
    again = api.post("v1/embeddings", {"model": "Tiles@champion", "input": wrapped}).json()
    np.testing.assert_allclose(again["data"][0]["embedding"], vectors[0], atol=1e-5)

    def upload(count: int) -> Any:
        files = [SimpleUploadedFile(f"{n}.png", photo(n)) for n in range(count)]
        return api.client.post("/api/v1/embeddings", {"model": "Tiles", "image": files})

    uploaded = upload(2).json()
    np.testing.assert_allclose([item["embedding"] for item in uploaded["data"]], vectors, atol=1e-5)
    assert len(upload(32).json()["data"]) == 32
    assert_problem(upload(33), 422, "33")
    assert_problem(api.post("v1/embeddings", {"model": "Tiles", "input": text_of(b"only text")}), 422)
    fake = SimpleUploadedFile("photo.png", b"only text", content_type="image/png")
    assert_problem(api.client.post("/api/v1/embeddings", {"model": "Tiles", "image": fake}), 422)


def check_search(version: ModelVersion, api: Api) -> None:
    samples = list(Sample.objects.filter(dataset__name="Tiles").order_by("pk"))

    def search(**body: Any) -> Any:
        return api.post("v1/search", {"model": "Tiles", **body})

    answer = search(image=text_of(photo(3)), k=3).json()
    assert (answer["model"], answer["space"], len(answer["hits"])) == ("Tiles:1", version.space, 3)
    first = answer["hits"][0]
    assert (first["sample"], first["label"], first["category"]) == (samples[3].pk, "L-1", "C-0")
    assert first["path"] == samples[3].path
    assert first["score"] == pytest.approx(1, abs=1e-4)
    assert [hit["score"] for hit in answer["hits"]] == sorted((hit["score"] for hit in answer["hits"]), reverse=True)

    embedding = api.post("v1/embeddings", {"model": "Tiles", "input": text_of(photo(3))}).json()
    vector = embedding["data"][0]["embedding"]
    by_vector = search(vector=vector, space=embedding["space"], k=3).json()
    assert [hit["sample"] for hit in by_vector["hits"]] == [hit["sample"] for hit in answer["hits"]]
    assert_problem(search(vector=vector, space="0" * 16), 409, version.space)
    assert_problem(search(vector=vector), 422, "space")

    file = SimpleUploadedFile("3.png", photo(3))
    by_file = api.client.post("/api/v1/search", {"model": "Tiles", "image": file, "k": "3"}).json()
    assert [hit["sample"] for hit in by_file["hits"]] == [hit["sample"] for hit in answer["hits"]]

    of_category = search(image=text_of(photo(3)), category="C-1").json()["hits"]
    assert {hit["sample"] for hit in of_category} == {samples[4].pk, samples[5].pk}
    of_label = search(image=text_of(photo(3)), label="L-0").json()["hits"]
    assert {hit["sample"] for hit in of_label} == {samples[0].pk, samples[1].pk}
    assert len(search(image=text_of(photo(3)), box=[0, 0, SIDE // 2, SIDE // 2]).json()["hits"]) == 6
    assert_problem(search(image=text_of(photo(3)), category="nowhere"), 422)
    assert_problem(search(image=text_of(b"only text")), 422)

    gone = samples[3].pk
    Sample.objects.filter(pk=gone).delete()  # since the index was built
    assert gone not in [hit["sample"] for hit in search(image=text_of(photo(3))).json()["hits"]]
    assert Dataset.objects.filter(name="Tiles").exists()
