"""`manage.py serve`, whole: it comes up, runs a job, and leaves nothing behind; the next one continues the job."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from django.conf import settings

from kindred import folders, postgres, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(settings.DATABASE_URL), reason="DATABASE_URL is set: a second site would share it"),
]


class Serve:
    """A site in processes of its own: its data, its port, the jobs' tests' kinds of work."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KINDRED_")},
            "DJANGO_SETTINGS_MODULE": "tests.kindred.serve_settings",
            "KINDRED_DATA_DIR": str(data_dir),
            "PORT": str(self.port),
            "WEB_WORKERS": "1",
        }
        self.output: list[str] = []

    def start(self) -> "subprocess.Popen[str]":
        process = self.begin()
        self.wait(lambda: any(line.startswith("READY") for line in self.output), 150)
        return process

    def begin(self) -> "subprocess.Popen[str]":
        self.output = []
        process = subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=settings.ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        threading.Thread(target=self.output.extend, args=[process.stdout], daemon=True).start()
        return process

    @property
    def postgres_dir(self) -> Path:
        return (postgres.ROOT_DIR / folders.key_of(self.data_dir) if os.geteuid() == 0 else self.data_dir) / "pg"

    def wait(self, is_so: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end, "".join(self.output)
            time.sleep(0.2)

    def python(self, code: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", "shell", "-v0", "-c", f"from apps.jobs.models import Job\n{code}"],
            cwd=settings.ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def stop_command(self) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", "stop"],
            cwd=settings.ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def remains(self) -> list[int]:
        return running.leftovers(str(self.data_dir))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Serve]:
    site = Serve(tmp_path / "data")
    yield site
    site.stop_command()
    if os.geteuid() == 0:
        shutil.rmtree(postgres.ROOT_DIR / folders.key_of(site.data_dir), ignore_errors=True)
    shutil.rmtree(folders.runtime_dir(site.data_dir), ignore_errors=True)


def status_of(url: str) -> tuple[int, str]:
    try:
        with urlopen(url, timeout=10) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_it_comes_up_and_goes_without_a_trace_and_its_job_continues(site: Serve, tmp_path: Path) -> None:
    process = site.start()
    address = f"http://127.0.0.1:{site.port}"
    assert f"READY {address}/\n" in site.output
    status, body = status_of(f"{address}/readyz")
    assert (status, json.loads(body)["status"]) == (200, "ok")
    site.wait(lambda: any("/setup/" in line for line in site.output), 30)  # it is printed after READY
    link = next(line.strip() for line in site.output if "/setup/" in line)
    assert re.fullmatch(rf"{address}/setup/[\w:.-]+/", link)
    assert status_of(link)[0] == 200

    second = subprocess.run(
        [sys.executable, "manage.py", "serve"], cwd=settings.ROOT, env=site.environment, capture_output=True, text=True
    )
    assert second.returncode == 1
    assert f"runs on this data folder already (process {process.pid})" in second.stderr

    job = site.python(
        "from apps.jobs.services import job_submit\n"
        "payload = {'to': 3000, 'folder': " + repr(str(tmp_path)) + "}\n"
        "print(job_submit(kind='count', title='long', payload=payload, owner=None, dataset=None).pk)"
    )
    site.wait(lambda: (tmp_path / "1").exists(), 60)

    os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C does
    assert process.wait(60) == 0, "".join(site.output)
    assert site.remains() == []
    assert not (site.postgres_dir / "postmaster.pid").exists()

    look = f"job = Job.objects.get(pk={job}); print(job.state, job.attempt, job.crashes)"
    assert site.python(look) == "queued 1 0"
    site.start()
    site.wait(lambda: (tmp_path / "2").exists(), 60)
    assert site.python(look) == "running 2 0"
    assert site.stop_command() == "Stopped."
    assert site.remains() == []
    assert site.stop_command() == "Nothing was running."


@pytest.mark.parametrize("moment", ["pg.new", "static.stamp"])
def test_ctrl_c_while_it_begins_leaves_nothing(site: Serve, moment: str) -> None:
    """While the database is being made, and just when the processes start."""
    folder = site.data_dir if moment == "static.stamp" else site.postgres_dir.parent
    process = site.begin()
    site.wait((folder / moment).exists, 60)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 0, "".join(site.output)
    assert not (site.postgres_dir / "postmaster.pid").exists()
    assert site.remains() == []
    assert not any(line.startswith("READY") for line in site.output)


def test_one_that_was_killed_is_cleared_away(site: Serve) -> None:
    process = site.start()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    assert site.remains()
    assert site.stop_command() == "Stopped."
    assert site.remains() == []


def test_a_port_that_is_taken_is_told(site: Serve) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", site.port))
        taken.listen()
        done = subprocess.run(
            [sys.executable, "manage.py", "serve"],
            cwd=settings.ROOT,
            env=site.environment,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert f"127.0.0.1:{site.port} cannot be used (Address already in use)" in done.stderr
    assert not (site.postgres_dir / "postmaster.pid").exists()  # what it did not need, it did not leave running
