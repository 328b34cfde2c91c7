"""A published version with its index, and the inference process, started for real."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site
from django.db import connection

from apps.accounts.models import User
from apps.core.errors import Unavailable
from apps.datasets.models import Dataset
from apps.jobs.models import Job
from apps.jobs.runner import run_inline
from apps.search import client
from apps.search.services import index_submit
from apps.zoo.models import ModelVersion
from apps.zoo.services import alias_set, version_publish
from tests.apps.zoo.making import make_dataset, make_model, make_version

START_SECONDS = 60


@pytest.fixture
def dataset(user: User) -> Dataset:
    return make_dataset("Shapes", user)


@pytest.fixture
def version(dataset: Dataset, user: User) -> ModelVersion:
    """The dataset's champion, without an index."""
    version = make_version(make_model(dataset), user)
    version_publish(version=version, user=user)
    alias_set(model=version.model, name="champion", version=version, user=user)
    return version


def build_index(version: ModelVersion, user: User, **more: Any) -> Job:
    job = run_inline(index_submit(version=version, user=user, **more))
    assert job.state == Job.State.SUCCEEDED, job.error + job.log_tail
    return job


@pytest.fixture
def indexed(version: ModelVersion, user: User) -> ModelVersion:
    build_index(version, user)
    return version


class Process:
    """`manage.py inference` on the test's own database, files and socket."""

    def __init__(self, socket: Path, files: Path, **environment: str) -> None:
        self.socket = socket
        self.files = files
        self.environment = environment
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, ready: Callable[[], object] = client.health) -> "Process":
        environment = {
            **os.environ,
            "PYTHONPATH": f"{site.ROOT / 'platform'}{os.pathsep}{site.ROOT}",
            "DJANGO_SETTINGS_MODULE": "tests.apps.search.settings",
            "KINDRED_TEST_DATABASE": str(connection.settings_dict["NAME"]),
            "KINDRED_TEST_FILES": str(self.files),
            "KINDRED_TEST_SOCKET": str(self.socket),
            "KINDRED_LOG_LEVEL": "WARNING",
            **self.environment,
        }
        self.process = subprocess.Popen([sys.executable, "manage.py", "inference"], env=environment, cwd=site.ROOT)
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                ready()
                return self
            except Unavailable:
                assert self.process.poll() is None, f"it ended with {self.process.returncode}"
                assert time.monotonic() < end, "it did not start"
                time.sleep(0.1)

    def running(self) -> "Process":
        """Starts it unless it runs already."""
        return self if self.process is not None and self.process.poll() is None else self.start()

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(by)
        return self.process.wait(timeout=15)


@pytest.fixture
def socket_path(settings: Any) -> Iterator[Path]:
    """A short path of the test's own, where nobody listens, which the client uses."""
    with tempfile.TemporaryDirectory(prefix="kd-") as folder:
        settings.INFERENCE_SOCKET = Path(folder) / "inference.sock"
        settings.INFERENCE_URL = ""
        yield settings.INFERENCE_SOCKET


@pytest.fixture(scope="session")
def shared_process() -> Iterator[Process]:
    """One process for all tests, for its start takes seconds. Rows are never numbered twice, so nothing is mixed up."""
    with tempfile.TemporaryDirectory(prefix="kd-") as folder:
        process = Process(Path(folder) / "inference.sock", Path(folder) / "files")
        yield process
        if process.process is not None:
            process.stop()


@pytest.fixture(autouse=True)
def site_settings(site_settings: None, settings: Any, request: pytest.FixtureRequest) -> None:
    """The files of tests with the inference process lie where that looks for them."""
    if "inference" in request.fixturenames:
        files = request.getfixturevalue("shared_process").files
        default = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": files}}
        settings.STORAGES = {**settings.STORAGES, "default": default}


@pytest.fixture
def inference(shared_process: Process, settings: Any) -> Process:
    """Running. For tests marked `django_db(transaction=True)`: the process sees only what is committed."""
    settings.INFERENCE_SOCKET, settings.INFERENCE_URL = shared_process.socket, ""
    return shared_process.running()
