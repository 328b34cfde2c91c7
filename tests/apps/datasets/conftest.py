"""Photos and zips made on the spot, and a dataset with one member of each role."""

import io
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.test import Client
from PIL import Image

from apps.accounts.models import Membership, Role, User
from apps.datasets.models import Dataset, Import
from apps.datasets.services import dataset_create, import_create
from apps.jobs.models import Job
from apps.jobs.runner import run_inline

HEADER = "label,path,split,is_query,is_gallery"


def photo(seed: int = 0, size: tuple[int, int] = (24, 16), kind: str = "JPEG") -> bytes:
    """A photo of noise; another seed gives another one."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def make_zip(files: Mapping[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def table_zip(rows: list[str], photos: int = 9, header: str = HEADER, **more: bytes) -> bytes:
    """A zip with photos `img/0.jpg`, `img/1.jpg`, ... and a table of rows."""
    files: dict[str, bytes | str] = {f"img/{i}.jpg": photo(i) for i in range(photos)}
    return make_zip({**files, **more, "df.csv": "\n".join([header, *rows]) + "\n"})


GOOD_ROWS = [
    *(f"mug {i // 2},img/{i}.jpg,train,," for i in range(4)),
    *(f"cup {i // 2},img/{i}.jpg,validation,True,True" for i in range(4, 8)),
]


@pytest.fixture
def dataset(user: User) -> Dataset:
    """A dataset whose manager is `user`."""
    return dataset_create(name="Mugs", user=user)


@pytest.fixture
def bring_in(dataset: Dataset, user: User) -> Callable[..., tuple[Import, Job]]:
    """Imports a zip's bytes and runs the job here; returns both as they are afterwards."""

    def run(data: bytes, name: str = "mugs.zip", into: Dataset | None = None) -> tuple[Import, Job]:
        made = import_create(dataset=into or dataset, file=ContentFile(data), file_name=name, user=user)
        assert made.job is not None
        job = run_inline(made.job)
        made.refresh_from_db()
        return made, job

    return run


@pytest.fixture
def filled(dataset: Dataset, bring_in: Any) -> Dataset:
    """The dataset with eight samples of four labels in two splits."""
    rows = [f"{row},{'mugs' if row.startswith('mug') else 'cups'}" for row in GOOD_ROWS]
    _, job = bring_in(table_zip(rows, header=f"{HEADER},category"))
    assert job.state == Job.State.SUCCEEDED, job.error
    return dataset


@pytest.fixture
def member_client(dataset: Dataset) -> Callable[[Role], Client]:
    """A client signed in as a member of the dataset with a role."""

    def make(role: Role) -> Client:
        person = User.objects.create_user(f"member {role.label}")
        Membership.objects.create(user=person, dataset=dataset, role=role)
        client = Client()
        client.force_login(person)
        return client

    return make
